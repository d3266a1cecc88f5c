#!/usr/bin/env bash
# aiocache 0.12.3: the stampede guard opens for all when the caller who works leaves or fails.
#
# Guess:     under `cached_stampede` one caller computes and the others wait; if
#            that one is cancelled, or its computation fails, the next one takes
#            its place and the rest go on waiting.
# Behaviour: all who waited compute at once. The lock's release wakes each of
#            them, and none takes the lock again: they find no value in the cache
#            and go on.
# Matters:   a browser tab that is closed, or one error of the service behind,
#            turns one call into a call for each caller, at the worst moment.
#
# Output seen:
#   first caller stays:    1 call, 1 at once
#   first caller leaves:   6 calls, 5 at once
#   first call fails:      6 calls, 5 at once
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check aiocache==0.12.3

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

from aiocache import cached_stampede


async def six_callers(*, leaves=False, fails=False):
    """Calls made, and most of them at once, for six callers of one key; the first may leave, its call may fail."""
    calls = running = most = 0

    @cached_stampede(lease=20, ttl=60)
    async def answer(page):
        nonlocal calls, running, most
        calls += 1
        first = calls == 1
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.3)
        finally:
            running -= 1
        if first and fails:
            raise ConnectionError("the service behind is away for a moment")
        return f"summary of {page}"

    page = f"page {leaves} {fails}"
    first = asyncio.create_task(answer(page))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(answer(page)) for _ in range(5)]
    await asyncio.sleep(0.05)
    if leaves:
        first.cancel()
    await asyncio.gather(first, *others, return_exceptions=True)
    return calls, most


async def main():
    found = {}
    for name, options in {
        "first caller stays:": {},
        "first caller leaves:": {"leaves": True},
        "first call fails:": {"fails": True},
    }.items():
        calls, most = found[name] = await six_callers(**options)
        print(f"{name:22} {calls} call{'s' * (calls > 1)}, {most} at once")
    stays, leaves, fails = found.values()
    if stays != (1, 1):
        sys.exit("changed: callers who stay no longer share a call")
    if leaves[1] < 5 or fails[1] < 5:
        sys.exit("changed: the others no longer compute all at once")


asyncio.run(main())
PY
