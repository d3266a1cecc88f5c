#!/usr/bin/env bash
# circuitbreaker 2.1.3: a cancelled call counts as a success of the service.
#
# Guess:     a call that the caller cancels before any answer counts neither way.
#            In particular a half-open circuit stays half-open, or opens
#            again, until a trial call has really come back.
# Behaviour: cancelling resets the count of failures to 0, and a cancelled trial
#            closes a half-open circuit: the service that never answered is
#            declared healthy.
# Matters:   a dead service mostly shows as calls that hang until someone's
#            timeout cancels them. Each such timeout (asyncio.timeout,
#            wait_for) around the guarded call wipes the failures counted
#            before, and no number of them opens the circuit.
#
# Output seen:
#   failure, failure:                  2 counted, closed
#   then one call that times out:      0 counted, closed
#   after three failures:              open
#   recovery time over:                half_open
#   trial call hangs and is cancelled: closed
#   10 more calls that time out:       closed
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check circuitbreaker==2.1.3

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

from circuitbreaker import CircuitBreaker

breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=0.2, name="provider")


@breaker
async def failing():
    raise ConnectionError


@breaker
async def hanging():
    await asyncio.sleep(60)


async def main():
    async def fail():
        await asyncio.gather(failing(), return_exceptions=True)

    async def time_out():
        try:
            await asyncio.wait_for(hanging(), 0.02)
        except asyncio.TimeoutError:
            pass

    seen = []

    def show(what, value):
        seen.append(value)
        print(f"{what:34} {value}")

    await fail()
    await fail()
    show("failure, failure:", f"{breaker.failure_count} counted, {breaker.state}")
    await time_out()
    show("then one call that times out:", f"{breaker.failure_count} counted, {breaker.state}")
    for _ in range(3):
        await fail()
    show("after three failures:", breaker.state)
    await asyncio.sleep(0.25)
    show("recovery time over:", breaker.state)
    await time_out()
    show("trial call hangs and is cancelled:", breaker.state)
    for _ in range(10):
        await time_out()
    show("10 more calls that time out:", breaker.state)
    if seen != ["2 counted, closed", "0 counted, closed", "open", "half_open", "closed", "closed"]:
        sys.exit("changed: a cancelled call no longer counts as a success")


asyncio.run(main())
PY
