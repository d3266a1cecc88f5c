#!/usr/bin/env bash
# aiojobs 1.4.0: a wait with a timeout for a job that is still queued ends in InvalidStateError.
#
# Guess:     `await job.wait(timeout=…)` ends in TimeoutError when the job is not
#            done by then, whether it runs or waits behind the scheduler's limit.
# Behaviour: for a job that runs it is TimeoutError, and the job is cancelled; for
#            one that still waits for its place it is InvalidStateError("invalid
#            state"), and the job is run later all the same.
# Matters:   callers that handle TimeoutError answer "too late" on a quiet day, and
#            fail with an unexplained error in a burst, when jobs queue. The work
#            nobody waits for any more then still takes its place.
#
# Output seen:
#   running job: TimeoutError, ran to its end: False
#   queued job:  InvalidStateError, ran to its end: True
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check aiojobs==1.4.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

import aiojobs


async def impatient(*, queued):
    """What a wait of 50 ms ends in, and whether the job ran to its end."""
    scheduler = aiojobs.Scheduler(limit=1)
    ended = []

    async def work():
        await asyncio.sleep(0.2)
        ended.append(True)

    if queued:
        await scheduler.spawn(asyncio.sleep(0.2))
    job = await scheduler.spawn(work())
    try:
        await job.wait(timeout=0.05)
        outcome = "nothing"
    except Exception as exc:
        outcome = type(exc).__name__
    await asyncio.sleep(0.8)
    await scheduler.close()
    return outcome, bool(ended)


async def main():
    running = await impatient(queued=False)
    print(f"running job: {running[0]}, ran to its end: {running[1]}")
    queued = await impatient(queued=True)
    print(f"queued job:  {queued[0]}, ran to its end: {queued[1]}")
    if running != ("TimeoutError", False):
        sys.exit("changed: the wait for a running job ends otherwise")
    if queued != ("InvalidStateError", True):
        sys.exit("changed: the wait for a queued job ends otherwise")


asyncio.run(main())
PY
