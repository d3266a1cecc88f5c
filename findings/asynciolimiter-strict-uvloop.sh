#!/usr/bin/env bash
# asynciolimiter 1.2.0 with uvloop 0.23.0: StrictLimiter limits nothing above
# 2000 calls a second.
#
# Guess:     StrictLimiter, documented to stay under its rate always, holds 2500
#            calls a second on every event loop.
# Behaviour: on asyncio's loop it stays well below the rate. On uvloop it lets
#            calls through as fast as they come, more than ten times the rate.
#            On uvloop a delay of less than half a millisecond is none, so the
#            pause of 0.4 ms between two calls is gone. At 600 a second both
#            loops hold the rate.
# Matters:   changing the loop to a faster one is meant to change nothing else;
#            here it switches the limiter off without a word.
#
# Output seen (the third figure varies with the machine):
#   asyncio,  600/s:     475 calls a second
#   uvloop,   600/s:     471 calls a second
#   uvloop,  2500/s:  436421 calls a second
#   asyncio, 2500/s:     910 calls a second
#   1000 sleeps of 0.4 ms: asyncio 1.197 s, uvloop 0.005 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    asynciolimiter==1.2.0 uvloop==0.23.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys
import time

import uvloop
from asynciolimiter import StrictLimiter


async def measure(rate):
    limiter = StrictLimiter(rate)
    calls = 1500
    start = time.monotonic()
    for _ in range(calls):
        await limiter.wait()
    return calls / (time.monotonic() - start)


async def nap():
    start = time.monotonic()
    for _ in range(1000):
        await asyncio.sleep(0.0004)
    return time.monotonic() - start


slow_asyncio = asyncio.run(measure(600))
slow_uvloop = uvloop.run(measure(600))
fast_uvloop = uvloop.run(measure(2500))
fast_asyncio = asyncio.run(measure(2500))
print(f"asyncio,  600/s: {slow_asyncio:7.0f} calls a second")
print(f"uvloop,   600/s: {slow_uvloop:7.0f} calls a second")
print(f"uvloop,  2500/s: {fast_uvloop:7.0f} calls a second")
print(f"asyncio, 2500/s: {fast_asyncio:7.0f} calls a second")
naps = asyncio.run(nap()), uvloop.run(nap())
print(f"1000 sleeps of 0.4 ms: asyncio {naps[0]:.3f} s, uvloop {naps[1]:.3f} s")
if naps[0] < 0.4 or naps[1] > 0.2:
    sys.exit("changed: short sleeps take another time")
if max(slow_asyncio, slow_uvloop) > 620 or fast_asyncio > 2550:
    sys.exit("changed: the limit no longer holds where it held")
if fast_uvloop < 10 * 2500:
    sys.exit("changed: uvloop is limited too")
PY
