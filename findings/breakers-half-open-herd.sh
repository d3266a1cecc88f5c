#!/usr/bin/env bash
# purgatory 3.0.1, aiobreaker 1.2.0, circuitbreaker 2.1.3: a half-open circuit
# lets every concurrent call through.
#
# Guess:     half-open means that one trial call goes to the service while the
#            others are refused until its outcome is known.
# Behaviour: all three check the state when a call comes and change it when one
#            is back; nothing marks the trial as taken. Of 20 concurrent calls
#            made after the recovery time all 20 reach the service.
# Matters:   a service that is just coming back meets the whole backlog at once,
#            which is what the half-open state is there to prevent.
#
# Output seen:
#   purgatory:      20 of 20 calls reached the service
#   aiobreaker:     20 of 20 calls reached the service
#   circuitbreaker: 20 of 20 calls reached the service
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    purgatory==3.0.1 aiobreaker==1.2.0 circuitbreaker==2.1.3

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys
from datetime import timedelta

import aiobreaker
import circuitbreaker
import purgatory

CALLS = 20


class Service:
    def __init__(self):
        self.asked = 0

    async def ask(self):
        self.asked += 1
        await asyncio.sleep(0.05)
        raise ConnectionError


async def herd(guarded, service, state):
    await asyncio.gather(guarded(), return_exceptions=True)
    await asyncio.gather(guarded(), return_exceptions=True)
    before = service.asked
    await asyncio.gather(guarded(), return_exceptions=True)
    if "open" not in state().lower() or service.asked != before:
        sys.exit("changed: the circuit did not open after two failures")
    await asyncio.sleep(0.25)  # the recovery time is 0.2 s
    await asyncio.gather(*(guarded() for _ in range(CALLS)), return_exceptions=True)
    return service.asked - before


async def main():
    found = {}

    service = Service()
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=2, default_ttl=0.2)
    context = await factory.get_breaker("provider")

    async def in_purgatory():
        async with context:
            await service.ask()

    found["purgatory"] = await herd(in_purgatory, service, lambda: context.context.state)

    service_a = Service()
    breaker = aiobreaker.CircuitBreaker(fail_max=2, timeout_duration=timedelta(seconds=0.2))
    found["aiobreaker"] = await herd(
        lambda: breaker.call_async(service_a.ask), service_a, lambda: breaker.current_state.name
    )

    service_c = Service()
    circuit = circuitbreaker.CircuitBreaker(failure_threshold=2, recovery_timeout=0.2, name="c")
    found["circuitbreaker"] = await herd(circuit(service_c.ask), service_c, lambda: circuit.state)

    for name, reached in found.items():
        print(f"{name + ':':15} {reached} of {CALLS} calls reached the service")
    if any(reached != CALLS for reached in found.values()):
        sys.exit("changed: a half-open circuit holds calls back")


asyncio.run(main())
PY
