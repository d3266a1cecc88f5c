"""The baseline of bench_jobs.py: a worker on jobs that do nothing. REDIS_URL names the Redis.

`house` runs the sidecar's own consumer with as many jobs at once as the sidecar's worker; `arq` runs arq's worker
with JSON and 500 jobs at once, so that its pause between two polls of the queue costs nothing.
"""

import asyncio
import sys
from typing import Any

from rig import ROOT

sys.path.insert(0, str(ROOT))

from arq.worker import Worker, func

from sidecar.config.load import load
from sidecar.jobs.keys import Names
from sidecar.jobs.redis import connect
from sidecar.jobs.store import TASK
from sidecar.jobs.worker.arq_consumer import Consumer


async def nothing(_ctx: dict[Any, Any]) -> None:
    pass


async def main(kind: str) -> None:
    settings = load({}, need_key=False)
    names = Names(settings.redis_prefix)
    names.adopt_arq()
    redis = connect(settings)
    queue = names.queue("night")
    print("working", file=sys.stderr, flush=True)
    if kind == "house":
        await Consumer(redis, nothing, queue=queue, at_once=settings.worker_concurrency).consume()
    else:
        await Worker(
            [func(nothing, name=TASK)],  # type: ignore[arg-type]
            queue_name=queue,
            redis_pool=redis,
            max_jobs=500,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            log_results=False,
        ).async_run()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
