"""Consumer: arq's worker on one lane, which outlives Redis, stops gently and starts jobs at once.

Differences to arq's own worker: no pickle, no text in logs, no results in arq's keys, a short hold on a job that the
lease renews, patience for errors of Redis, and a look at the queue as soon as a place comes free.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.exceptions import OutOfMemoryError, RedisError

from sidecar.core import events
from sidecar.jobs.keys import hold_prefix
from sidecar.jobs.redis_errors import explain
from sidecar.jobs.store import RECORD_SECONDS, TASK
from sidecar.jobs.worker.clock import adopt_clock
from sidecar.jobs.worker.lease import LEASE_SECONDS

POLL_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 30.0
"""Seconds after which a look at the queue is given up: the connection is dead."""
_AGAIN_SECONDS: Final = 1.0
_LAST_SECONDS: Final = 3.0
"""Seconds for putting back what was cancelled; a silent Redis must not hold up the end."""
_MARGIN_SECONDS: Final = 1.0
"""Seconds beyond the grace: at its end the engine ends what is left, and the handler puts it back uncancelled."""
_ENDLESS: Final = 10**9
"""Tries that arq allows: arq counts starts, the handler counts failures."""
HEALTH_SECONDS: Final = 5.0
# uvloop raises RuntimeError for a connection that was reset between two writes.
_FAILURES: Final = (RedisError, OSError, TimeoutError, RuntimeError)

Work = Callable[[dict[Any, Any]], Awaitable[None]]


def options(work: Work, *, queue: str, at_once: int) -> dict[str, Any]:
    """Return the options of arq's worker; the same for `arq worker.WorkerSettings`."""
    return {
        # The handler's own limit ends a job before this one, at which arq would drop the job.
        "functions": [func(work, name=TASK, timeout=RECORD_SECONDS, max_tries=_ENDLESS, keep_result=0)],  # type: ignore[arg-type]
        "queue_name": queue,
        "max_jobs": at_once,
        "poll_delay": POLL_SECONDS,
        # A page of the queue. Jobs in progress stay in the queue, so `start_jobs` turns pages.
        "queue_read_limit": max(20, 5 * at_once),
        "keep_result": 0,
        "health_check_interval": HEALTH_SECONDS,
        "log_results": False,
    }


class Consumer(Worker):
    """Run the jobs of one queue until cancelled."""

    def __init__(self, redis: ArqRedis, work: Work, *, queue: str, at_once: int) -> None:
        # arq's log quotes what arq finds in Redis; the handler logs each job.
        logging.getLogger("arq").setLevel(logging.CRITICAL)
        adopt_clock()
        super().__init__(
            **options(work, queue=queue, at_once=at_once),
            redis_pool=redis,
            handle_signals=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
        )
        self.in_progress_timeout_s = LEASE_SECONDS
        self._holds = hold_prefix()
        self._at_work: set[asyncio.Task[Any]] = set()
        """Runs in progress: arq forgets a run when the same job is begun again after its hold has ended."""
        self._freed = asyncio.Event()
        self._away = False

    async def consume(self) -> None:
        """Take jobs until cancelled, however often Redis goes away; jobs in progress go on after that."""
        while True:
            self._freed.clear()
            pause = POLL_SECONDS
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._poll_iteration()
            except _FAILURES as exc:
                pause = _AGAIN_SECONDS
                self._lost(exc)
                await self._count_anew()
            except Exception as exc:  # noqa: BLE001 - the consumer's outermost: a worker that lives takes jobs
                pause = _AGAIN_SECONDS
                events.fault("internal", exc)
                await self._count_anew()
            else:
                self._found()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._freed.wait()

    async def finish(self, seconds: float) -> None:
        """Let the jobs in progress end, `seconds` at most; then cancel the others, which puts them back."""
        if running := self._running():
            await asyncio.wait(running, timeout=seconds + _MARGIN_SECONDS if seconds else 0)
        if running := self._running():
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=_LAST_SECONDS)

    def _running(self) -> set[asyncio.Task[Any]]:
        return {task for task in (*self.tasks.values(), *self._at_work) if not task.done()}

    async def run_job(self, job_id: str, score: int) -> None:
        """Run one job, and list the run as in progress until its end."""
        task: Any = asyncio.current_task()
        self._at_work.add(task)
        try:
            await super().run_job(job_id, score)
        # Nobody awaits this task. The job stays in the queue, and is free again when arq's hold ends.
        except _FAILURES as exc:
            self._lost(exc)
        except Exception as exc:  # noqa: BLE001 - the run's outermost
            events.fault("internal", exc, job=job_id)
        finally:
            self._at_work.discard(task)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start the jobs that no worker holds; where all of a page are held, look at the next page at once."""
        free: list[bytes] = []
        if job_ids:
            held = await self.pool.mget([self._holds + job_id.decode() for job_id in job_ids])
            free = [job_id for job_id, hold in zip(job_ids, held, strict=True) if hold is None]
        if len(job_ids) == self.queue_read_limit and not free:
            self._queue_read_offset += self.queue_read_limit
            self._freed.set()
            return
        self._queue_read_offset = 0
        await super().start_jobs(free)

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._freed.set()

    async def record_health(self) -> None:
        """Write arq's own sign of life, where Redis has room for it."""
        with contextlib.suppress(OutOfMemoryError):
            await super().record_health()

    def _lost(self, exc: BaseException) -> None:
        # The heartbeat logs a full Redis, which is there.
        if not self._away and not isinstance(exc, OutOfMemoryError):
            self._away = True
            events.warning("redis_away", queue=self.queue_name, reason=explain(exc))

    async def _count_anew(self) -> None:
        """Count the runs anew: arq counts a job before its watch, and keeps the count where Redis fails in between."""
        # Runs that have ended give their place back in a callback, a turn of the loop later.
        running, before = self._running(), -1
        while len(running) != before:
            before = len(running)
            await asyncio.sleep(0)
            running = self._running()
        self.tasks = {name: task for name, task in self.tasks.items() if not task.done()}
        self.job_counter = len(running)
        self._queue_read_offset = 0
        # More runs than places: a run whose hold ended goes on, and so does its successor.
        self.sem = asyncio.BoundedSemaphore(max(self.max_jobs, len(running)) + 1)
        for _ in running:
            await self.sem.acquire()

    def _found(self) -> None:
        if self._away:
            self._away = False
            events.info("redis_back", queue=self.queue_name)
