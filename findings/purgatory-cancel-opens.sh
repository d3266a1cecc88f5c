#!/usr/bin/env bash
# purgatory 3.0.1: calls cancelled by the caller open the circuit.
#
# Guess:     the breaker counts what the guarded service does. A call that the
#            caller gives up on (the browser is gone, a deadline further out
#            has passed) says nothing about the service and counts neither way.
# Behaviour: asyncio.CancelledError leaving the block is counted as a failure of
#            the service. As many impatient callers as the threshold allows
#            open the circuit for all, although the service never failed.
# Matters:   gateways cancel the call upstream when a client hangs up; users who
#            close their tabs then take a sound provider out of service.
#
# Output seen:
#   cancelled call 1: closed
#   cancelled call 2: closed
#   cancelled call 3: opened
#   next call, service in order: OpenedState
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check purgatory==3.0.1

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

from purgatory import AsyncCircuitBreakerFactory


async def main():
    factory = AsyncCircuitBreakerFactory(default_threshold=3, default_ttl=30)
    breaker = await factory.get_breaker("provider")

    async def call(seconds):
        async with breaker:
            await asyncio.sleep(seconds)  # a sound service, answering in time

    states = []
    for number in (1, 2, 3):
        task = asyncio.create_task(call(5))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        states.append(breaker.context.state)
        print(f"cancelled call {number}: {states[-1]}")
    try:
        await call(0)
        outcome = "served"
    except Exception as exc:
        outcome = type(exc).__name__
    print("next call, service in order:", outcome)
    if states != ["closed", "closed", "opened"] or outcome != "OpenedState":
        sys.exit("changed: cancelled calls no longer open the circuit")


asyncio.run(main())
PY
