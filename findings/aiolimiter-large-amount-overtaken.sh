#!/usr/bin/env bash
# aiolimiter 1.3.0: a waiter that asks for a large amount is overtaken for as
# long as smaller ones keep coming.
#
# Guess:     waiters are served in the order in which they came, as with
#            asyncio's own locks and semaphores; whoever asks for 4 units waits
#            for 4 units to drain, and those behind it wait too.
# Behaviour: a call for 1 unit that comes later goes first whenever 1 unit is
#            free, so the room for 4 units never builds up. The early caller
#            is served only after the later ones have stopped coming, here after
#            all 12 of them and more than three times its own drain time.
# Matters:   an amount is the natural way to charge a request by its tokens;
#            under steady small requests a large one is starved, not queued.
#
# Output seen:
#   large call alone:          0.4 s
#   large call, then 12 small: 1.6 s, served as number 13 of 13
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check aiolimiter==1.3.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys
import time

from aiolimiter import AsyncLimiter


async def run(small_calls):
    limiter = AsyncLimiter(5, 0.5)  # drains one unit each 0.1 s
    await limiter.acquire(5)
    start = time.monotonic()
    served = []

    async def call(name, amount):
        await limiter.acquire(amount)
        served.append(name)
        if name == "large":
            return time.monotonic() - start

    large = asyncio.create_task(call("large", 4))
    await asyncio.sleep(0.01)  # the large call waits before any small one exists
    await asyncio.gather(*(call("small", 1) for _ in range(small_calls)))
    return await large, served.index("large") + 1


alone, _ = asyncio.run(run(0))
crowded, place = asyncio.run(run(12))
print(f"large call alone:          {alone:.1f} s")
print(f"large call, then 12 small: {crowded:.1f} s, served as number {place} of 13")
if not (place == 13 and crowded > 3 * alone):
    sys.exit("changed: the early large call is no longer served last")
PY
