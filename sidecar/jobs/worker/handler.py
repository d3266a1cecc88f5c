"""Handler of a job, called by arq: one run through the engine, and then the end, a retry or a pause.

arq counts every start as a try and takes a plain exception for the end; so the handler raises only `Retry` and
cancellation, and counts tries itself: a failure at the provider is a try, a restart after a crash or a stop is free.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from arq import Retry

from sidecar.core import events
from sidecar.core.errors import (
    InternalError,
    JobsUnavailable,
    ShuttingDown,
    SidecarError,
)
from sidecar.core.observations import RequestEnd
from sidecar.core.ports import Traffic
from sidecar.core.reach import Reach, reach_of
from sidecar.core.tasks import silence
from sidecar.core.trace_context import Passing, trace_context
from sidecar.core.tracing import RouteSpan, Tracer
from sidecar.engine.finality import is_final
from sidecar.engine.limiter.trace import Charge, Trace
from sidecar.engine.request_log import traced
from sidecar.engine.service import Service
from sidecar.jobs.worker.lease import LEASE_SECONDS, RENEW_SECONDS, Held, Run, Runs, Stopped, retry_until_heard

MOST_TRIES: Final = 3
"""Failed tries of one job (CONTRACT, "Jobs")."""
BACKOFF: Final = (10.0, 60.0)
"""Seconds before the second and the third try, less up to a half by chance."""
DOWN_SECONDS: Final = 30.0
"""Seconds that a job waits while its provider is plainly down; that is free of a try."""
UNSERVED_SECONDS: Final = 90.0
"""The same for a job whose token names providers that are down or unknown, while others' jobs run."""
FULL_SECONDS: Final = 4.0
"""The same while those have no room, or in the lane that callers wait for."""
_AGAIN_SECONDS: Final = 0.5
"""Seconds between two tries to renew a lease while Redis is away."""
_PUT_BACK_SECONDS: Final = 2.0
"""Seconds that a stop waits for Redis to put a job back."""


class JobHandler:
    """Handler of the jobs of one lane."""

    def __init__(
        self,
        runs: Runs,
        service: Service,
        *,
        timeout: float,
        background: bool,
        backoff: tuple[float, ...] = BACKOFF,
        tracer: Tracer | None = None,
    ) -> None:
        self.runs = runs
        self.service = service
        self._timeout = timeout
        self._background = background
        # A caller waits for a job of the day: the sidecar offloaded a long text.
        self._traffic: Traffic = "jobs" if background else "interactive"
        self._backoff = backoff
        self._tracer = tracer
        self._limited: Counter[Reach] = Counter()
        """Runs in progress of jobs whose token names providers, by reach."""
        self._here: set[str] = set()
        """Jobs in progress in this process: a restarted Redis may have forgotten their leases."""

    def count_running(self) -> int:
        """Count the jobs in progress in this process."""
        return len(self._here)

    async def work(self, ctx: dict[Any, Any]) -> None:
        """Run the job that `ctx` names once; this is arq's function."""
        name = str(ctx["job_id"])
        if name in self._here:
            raise Retry(defer=RENEW_SECONDS)
        self._here.add(name)
        try:
            pause = await self._run(name)
        except Held as held:
            pause = held.seconds + 0.1
        except Exception as exc:  # noqa: BLE001 - arq takes any other exception for the job's end, and drops a job that is still open
            events.fault("internal", exc, job=name)
            pause = LEASE_SECONDS
        finally:
            self._here.discard(name)
        if pause is not None:
            raise Retry(defer=pause)

    async def _run(self, name: str) -> float | None:
        """Run the job; return the seconds after which the job is to be run again, None where the job is over."""
        owner = secrets.token_hex(8)
        try:
            run = await retry_until_heard(lambda: self.runs.begin(name, owner))
        except Stopped:
            return None
        reach = reach_of(self._traffic, run.request.providers or None)
        if (pause := self._passes_over(reach)) is not None:
            await retry_until_heard(lambda: run.put_back(failed=False))
            return pause * (0.5 + random.random() / 2)  # noqa: S311
        span = self._span(run)
        try:
            with self._counted(reach):
                return await self._complete(run, reach, Trace(span=span, charge=self._charge(run)))
        finally:
            if span is not None:
                span.end()

    def _passes_over(self, reach: Reach) -> float | None:
        """Return the seconds for which a job goes back to its queue, so that those behind it can run; None to run it.

        Jobs whose providers are full wait at work in half of the places at most, those whose providers are down or
        unknown in none. Jobs that may go to every provider are held up by nobody, and hold up nobody.
        """
        if reach.names is None:
            return None
        calls = self.service.kernel.calls
        if calls.refusal(reach) is not None:
            return UNSERVED_SECONDS if self._background else FULL_SECONDS
        now = calls.clock()
        if calls.pool.has_room(reach, now):
            return None
        waiting = sum(count for other, count in self._limited.items() if not calls.pool.has_room(other, now))
        return FULL_SECONDS if waiting >= max(1, calls.pool.most // 2) else None

    @contextlib.contextmanager
    def _counted(self, reach: Reach) -> Iterator[None]:
        """Count a run whose job may go to some providers only."""
        if reach.names is None:
            yield
            return
        self._limited[reach] += 1
        try:
            yield
        finally:
            self._limited[reach] -= 1
            if not self._limited[reach]:
                del self._limited[reach]

    def _span(self, run: Run) -> RouteSpan | None:
        """Begin the span of a run; None for a run that belongs to no trace."""
        job_id, action, trace = run.job_id, run.request.action, run.request.trace
        submitter = None if isinstance(trace, msgspec.UnsetType) else trace_context([trace])
        if self._tracer is not None:
            return self._tracer.job(job_id=job_id, action=action, submitter=submitter, waited=not self._background)
        return None if submitter is None else Passing(submitter)

    async def _complete(self, run: Run, reach: Reach, trace: Trace) -> float | None:
        started, code, pause = time.monotonic(), "ok", None
        try:
            await run.complete(await self._held(run, reach, trace))
        except Stopped:
            code = "cancelled"
        except Held as held:
            code, pause = "elsewhere", held.seconds + 0.1
        except asyncio.CancelledError:
            await self._put_back(run)
            raise
        except SidecarError as exc:
            code = exc.code
            pause = await self._failed(run, reach, exc, tried=trace.failed)
        except Exception as exc:  # noqa: BLE001 - the job's outermost: a fault of ours ends it and no other
            events.fault("internal", exc, job=run.job_id)
            code = InternalError.code
            await run.fail(InternalError())
        self._report(run, trace, code, started, pause)
        return pause

    def _charge(self, run: Run) -> Charge | None:
        """Return the function that counts the job's tokens for its submitter; None where none are limited."""
        quotas = self.service.quotas
        return None if quotas is None else quotas.charge(run.request.token or "", run.request.user_id)

    async def _held(self, run: Run, reach: Reach, trace: Trace) -> str:
        """Make the job's answer while its lease is renewed; raise `Stopped` or `Held` where the run has lost the job.

        The run goes on while Redis is away: every other worker is locked out too. The first run to reach Redis again
        has the job.
        """
        deadline = time.monotonic() + self._timeout
        answer = self.service.background.text(
            run.request, run, trace, deadline=deadline, background=self._background, reach=reach
        )
        task, wait = asyncio.create_task(answer, name="job"), RENEW_SECONDS
        silence(task)
        try:
            while not (await asyncio.wait((task,), timeout=wait))[0]:
                try:
                    await run.renew()
                    wait = RENEW_SECONDS
                except JobsUnavailable:
                    wait = _AGAIN_SECONDS
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def _failed(self, run: Run, reach: Reach, error: SidecarError, *, tried: bool) -> float | None:
        """End the job, or put the job back and return the seconds until its next run."""
        counted, pause = False, 0.0
        if not isinstance(error, ShuttingDown):
            down = self.service.kernel.calls.pool.limit_of(reach).breaker.opened_by is not None
            counted = tried and not down
            tries = run.tries + counted
            if is_final(error) or tries >= MOST_TRIES:
                await run.fail(error)
                return None
            base = self._backoff[min(tries, len(self._backoff)) - 1] if counted else DOWN_SECONDS
            pause = max(error.retry_after or 0.0, base * (0.5 + random.random() / 2))  # noqa: S311
        await retry_until_heard(lambda: run.put_back(failed=counted))
        return pause

    async def _put_back(self, run: Run) -> None:
        """Put the job back at a stop. Where Redis is too slow, the lease's end frees the job."""
        with contextlib.suppress(JobsUnavailable, TimeoutError):
            async with asyncio.timeout(_PUT_BACK_SECONDS):
                await run.put_back(failed=False)

    def _report(self, run: Run, trace: Trace, code: str, started: float, pause: float | None) -> None:
        seconds = time.monotonic() - started
        end = RequestEnd(
            request_id=run.job_id,
            route="job",
            action=run.request.action,
            code=code,
            user=run.request.user_id,
            seconds=seconds,
            queued=trace.queued,
            upstream=trace.upstream,
            calls=trace.calls,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            provider=trace.provider,
        )
        self.service.log.report(end, trace.span)
        events.info(
            "job",
            job=run.job_id,
            action=run.request.action,
            code=code,
            seconds=round(seconds, 4),
            queued=round(trace.queued, 4),
            upstream=round(trace.upstream, 4),
            calls=trace.calls,
            failed_tries=run.tries,
            restarts=run.crashes,
            prompt_tokens=trace.prompt_tokens,
            completion_tokens=trace.completion_tokens,
            **({"provider": trace.provider} if trace.provider else {}),
            **({} if pause is None else {"again_in": round(pause, 1)}),
            **traced(trace.span),
        )
