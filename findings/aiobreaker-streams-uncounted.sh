#!/usr/bin/env bash
# aiobreaker 1.2.0: decorating an async generator guards nothing.
#
# Guess:     the decorator treats a generator function as it treats a coroutine
#            function: an error while the stream is read counts as a failure and
#            an open circuit refuses the next stream. If it cannot, it says so.
# Behaviour: the decorator takes the async generator function without a word
#            and counts the mere making of the generator, which cannot fail, as
#            a success. Ten streams in a row that break with an error
#            leave the circuit closed with 0 failures; the same error from a
#            coroutine function opens it at the third call. Starting a stream
#            even resets the failures that others have counted.
# Matters:   streamed answers are the usual case with language models, and they
#            break in the middle.
#
# Output seen:
#   coroutine function, 3 errors:      OPEN
#   async generator function, 10 errors: CLOSED, 0 failures counted
#   2 failures counted, then one broken stream: 0 failures counted
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check aiobreaker==1.2.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

from aiobreaker import CircuitBreaker


async def read(stream):
    try:
        async for _ in stream():
            pass
    except ConnectionError:
        return
    sys.exit("changed: the stream did not break")


async def main():
    plain = CircuitBreaker(fail_max=3)

    @plain
    async def call():
        raise ConnectionError

    for _ in range(3):
        await asyncio.gather(call(), return_exceptions=True)
    print("coroutine function, 3 errors:     ", plain.current_state.name)

    breaker = CircuitBreaker(fail_max=3)

    @breaker
    async def stream():
        yield "first words"
        raise ConnectionError

    for _ in range(10):
        await read(stream)
    after_streams = breaker.current_state.name, breaker.fail_counter
    print(f"async generator function, 10 errors: {after_streams[0]}, {after_streams[1]} failures counted")

    @breaker
    async def other_call():
        raise ConnectionError

    for _ in range(2):
        await asyncio.gather(other_call(), return_exceptions=True)
    counted = breaker.fail_counter
    await read(stream)
    print(f"{counted} failures counted, then one broken stream: {breaker.fail_counter} failures counted")

    if plain.current_state.name != "OPEN":
        sys.exit("changed: errors of a coroutine function no longer open the circuit")
    if after_streams != ("CLOSED", 0) or (counted, breaker.fail_counter) != (2, 0):
        sys.exit("changed: broken streams are counted")


asyncio.run(main())
PY
