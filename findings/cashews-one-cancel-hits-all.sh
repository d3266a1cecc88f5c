#!/usr/bin/env bash
# cashews 7.6.0: cancelling one caller cancels all who wait for the same key.
#
# Guess:     callers who come while a value is being computed share that one
#            computation. When the first of them is cancelled, it alone is; the
#            others get the value, from the running computation or a new one.
# Behaviour: all of them get CancelledError, those too whom nobody cancelled,
#            with the default decorator as with lock=True, early and soft. So one
#            caller's short timeout fails callers that had all the time. With
#            protected=False each computes for itself and the others get theirs.
# Matters:   a CancelledError that nobody asked for passes every "except
#            Exception" and looks to a server like a client that has hung up.
#
# Output seen:
#   default:         timed out, CancelledError, CancelledError (computed 1 times)
#   lock=True:       timed out, CancelledError, CancelledError (computed 1 times)
#   early:           timed out, CancelledError, CancelledError (computed 1 times)
#   soft:            timed out, CancelledError, CancelledError (computed 1 times)
#   protected=False: timed out, value, value (computed 3 times)
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check cashews==7.6.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

from cashews import cache

cache.setup("mem://")


async def three_callers(decorator):
    computed = 0

    @decorator
    async def models(provider):
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.2)
        return "value"

    async def hurried():
        try:
            return await asyncio.wait_for(models("a"), 0.05)
        except asyncio.TimeoutError:
            return "timed out"

    first = asyncio.create_task(hurried())
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(models("a")) for _ in range(2)]
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    told = ", ".join(x if isinstance(x, str) else type(x).__name__ for x in outcomes)
    return f"{told} (computed {computed} times)"


async def main():
    seen = {}
    for name, decorator in {
        "default": cache(ttl="1m", key="d{provider}"),
        "lock=True": cache(ttl="1m", key="l{provider}", lock=True),
        "early": cache.early(ttl="1m", key="e{provider}"),
        "soft": cache.soft(ttl="1m", key="s{provider}"),
        "protected=False": cache(ttl="1m", key="p{provider}", protected=False),
    }.items():
        seen[name] = await three_callers(decorator)
        print(f"{name + ':':16} {seen[name]}")
    if seen.pop("protected=False") != "timed out, value, value (computed 3 times)":
        sys.exit("changed: unprotected callers no longer compute for themselves")
    if set(seen.values()) != {"timed out, CancelledError, CancelledError (computed 1 times)"}:
        sys.exit("changed: the other callers are no longer cancelled")


asyncio.run(main())
PY
