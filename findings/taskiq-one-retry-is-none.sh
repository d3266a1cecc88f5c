#!/usr/bin/env bash
# taskiq 0.13.0: a task with max_retries=1 is never retried.
#
# Guess:     SimpleRetryMiddleware reads max_retries as the word says: the first
#            run and up to that many more, so 1 means two runs.
# Behaviour: the number counts all runs, the first one too. With 1 a failed task
#            is not run again although retry_on_error=True, just as with 0; with
#            3 there are two retries.
# Matters:   "one retry, to get over a dropped connection" is the mildest
#            setting there is, and it switches retries off.
#
# Output seen:
#   max_retries=0: 1 run(s)
#   max_retries=1: 1 run(s)
#   max_retries=2: 2 run(s)
#   max_retries=3: 3 run(s)
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check taskiq==0.13.0

"$dir/venv/bin/python" - <<'PY'
import asyncio
import logging
import sys

from taskiq import InMemoryBroker, SimpleRetryMiddleware

logging.disable(logging.CRITICAL)
broker = InMemoryBroker().with_middlewares(SimpleRetryMiddleware())
runs = [0, 0, 0, 0]


@broker.task(retry_on_error=True)
async def fail(allowed):
    runs[allowed] += 1
    raise ConnectionError


async def main():
    await broker.startup()
    for allowed in range(4):
        task = await fail.kicker().with_labels(max_retries=allowed).kiq(allowed)
        result = await task.wait_result(timeout=10)
        if not isinstance(result.error, ConnectionError):
            sys.exit("changed: the task did not end with its error")
        print(f"max_retries={allowed}: {runs[allowed]} run(s)")
    await asyncio.sleep(0.5)
    await broker.shutdown()


asyncio.run(main())
if runs != [1, 1, 2, 3]:
    sys.exit(f"changed: runs are now {runs}")
PY
