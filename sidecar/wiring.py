"""The one place where settings, engine and capabilities meet: every way in leads to the same engine."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sidecar.config.load import take_passed_sockets
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.jobs import Lane
from sidecar.core.ports import Upstream
from sidecar.engine.actions import Limits
from sidecar.engine.admission import Admission
from sidecar.engine.answer_cache import AnswerCache
from sidecar.engine.background import Background
from sidecar.engine.completions import Completions
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine
from sidecar.engine.kernel import Kernel, no_pseudonym
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.offload import OffloadPort
from sidecar.engine.request_log import RequestLog
from sidecar.engine.service import Service
from sidecar.engine.single_flight import SingleFlight
from sidecar.engine.splitter import Splitter
from sidecar.runtime.signals import stop_requested

if TYPE_CHECKING:
    from sidecar.batch.batch import Batch
    from sidecar.core.progress import ProgressPort
    from sidecar.jobs.store import JobStore
    from sidecar.jobs.worker.handler import JobHandler


def service_of(
    settings: Settings,
    upstream: Upstream,
    offload: OffloadPort | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Service:
    """Build engine, completions and background runner side by side over `upstream`, as `settings` describe them."""
    kernel = _kernel(settings, upstream, clock)
    admission = Admission(places=settings.queue_size, size=settings.queue_bytes)
    drain, log = Drain(admission, clock=clock), RequestLog(kernel.calls, admission)
    splitter, limits = Splitter(), _limits(settings)
    return Service(
        kernel=kernel,
        admission=admission,
        drain=drain,
        log=log,
        engine=Engine(
            kernel,
            drain=drain,
            log=log,
            splitter=splitter,
            limits=limits,
            html_safe=settings.html_safe,
            offload=offload,
        ),
        completions=Completions(kernel, drain=drain, log=log),
        background=Background(kernel, drain=drain, splitter=splitter, limits=limits, longest=settings.call_timeout),
    )


def _kernel(settings: Settings, upstream: Upstream, clock: Callable[[], float]) -> Kernel:
    return Kernel(
        calls=Calls(upstream, concurrency=settings.concurrency, clock=clock),
        flights=SingleFlight(AnswerCache(ttl=settings.cache_ttl, size=settings.cache_bytes)),
        keys=keys_of(settings),
        pseudonym=_pseudonym(settings.user_secret) if settings.send_user else no_pseudonym,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_tokens=settings.max_tokens,
        summarize_threshold=settings.summarize_threshold,
        context_tokens=settings.context_tokens,
    )


def keys_of(settings: Settings) -> Keys:
    """What may be shared, and under which key, by `settings`."""
    return Keys(model=settings.openai_model, limits=_limits(settings))


def _pseudonym(secret: str) -> Callable[[str], str]:
    """An HMAC-SHA256 of the user under the site's secret: stable for the provider, no name to it."""
    key = secret.encode()
    return lambda user: hmac.new(key, user.encode("utf-8", "replace"), "sha256").hexdigest() if user else ""


async def run_http(settings: Settings, *, demo: bool = False) -> int:
    """Serve HTTP until SIGTERM or SIGINT, then drain; the exit code."""
    # Late: the one-shot process imports this module too, and must not pay for aiohttp.
    from sidecar.http.server.server import serve
    from sidecar.http.server.socket_activation import inherited
    from sidecar.provider.openai_sdk import SdkUpstream

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        upstream = SdkUpstream(settings)
        stack.push_async_callback(upstream.aclose)
        jobs = await stack.enter_async_context(jobs_desk(settings)) if settings.redis_url else NO_JOBS
        service = service_of(settings, upstream, jobs.offload)
        with stop_requested() as stop:
            sock = inherited(take_passed_sockets())
            serving = serve(service, settings, sock=sock, jobs=jobs.store, jobs_status=jobs.status)
            async with _beside(settings) as finish, serving as listening:
                events.info("provider", host=settings.provider_host, model=settings.openai_model)
                url = listening.url
                events.info("listening", ai=f"{url}/ai", openai=f"{url}/v1", health=f"{url}/health")
                service.kernel.calls.open_after(upstream.warm())
                await stop.wait()
                finish()
                stopping = listening.drain if sock is None else listening.hand_over
                await stopping(settings.shutdown_grace)
        events.info("stopped")
    return 0


@asynccontextmanager
async def _beside(settings: Settings) -> AsyncIterator[Callable[[], None]]:
    """Valkey and a worker of the server's own with REDIS_URL=embedded; gives what has the worker finish."""
    if settings.redis_url != "embedded":
        yield lambda: None
        return
    from sidecar.jobs.embedded.embedded import embedded

    async with embedded(settings) as both:
        yield both.drain


async def run_worker(settings: Settings, *, demo: bool = False) -> int:
    """Work jobs off until SIGTERM or SIGINT, then finish or put back what runs; the exit code."""
    with stop_requested() as stop:
        async with working_on(settings, demo=demo) as drain:
            await stop.wait()
            await drain()
    events.info("stopped")
    return 0


@asynccontextmanager
async def working_on(settings: Settings, *, demo: bool = False) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Work jobs off; gives what takes no more and lets end what was taken, within SHUTDOWN_GRACE."""
    from sidecar.jobs.worker.worker import working
    from sidecar.provider.openai_sdk import SdkUpstream

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        upstream = SdkUpstream(settings)
        stack.push_async_callback(upstream.aclose)
        store = job_store(settings)
        stack.push_async_callback(store.aclose)
        benches = job_handlers(settings, upstream, store)
        work = await stack.enter_async_context(working(store, benches))
        warm = upstream.warm()
        for bench, _ in benches.values():
            bench.service.kernel.calls.open_after(warm)
        events.info("provider", host=settings.provider_host, model=settings.openai_model)
        events.info("working", lanes={lane: at_once for lane, (_, at_once) in benches.items()})

        async def drain() -> None:
            for bench, _ in benches.values():
                bench.service.drain.begin(settings.shutdown_grace)
            await work.drain(settings.shutdown_grace)

        yield drain


async def run_batch(settings: Settings, batch: "Batch", telling: "ProgressPort", *, demo: bool = False) -> int:
    """Answer a file of requests, until that is done or SIGTERM or SIGINT; the exit code."""
    from sidecar.batch.batch import serve_batch
    from sidecar.provider.openai_sdk import SdkUpstream

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        upstream = SdkUpstream(settings)
        stack.push_async_callback(upstream.aclose)
        # The journal keeps what is finished.
        service = service_of(msgspec.structs.replace(settings, cache_bytes=0), upstream)
        with stop_requested() as stop:
            events.info("provider", host=settings.provider_host, model=settings.openai_model)
            service.kernel.calls.open_after(upstream.warm())
            return await serve_batch(service, settings, batch, telling, stop)


class JobsDesk(NamedTuple):
    """What a server has of jobs."""

    store: "JobStore | None" = None
    offload: OffloadPort | None = None
    status: Callable[[], object] | None = None


NO_JOBS: Final = JobsDesk()


@asynccontextmanager
async def jobs_desk(settings: Settings) -> AsyncIterator[JobsDesk]:
    """The jobs that `settings` describe, watched while the block lasts. Whether Redis is there makes no difference."""
    from sidecar.jobs.monitor import monitoring
    from sidecar.jobs.offload import Offload, looking_on

    store = job_store(settings)
    try:
        async with monitoring(store, starting=settings.redis_url == "embedded") as monitor:
            offload = Offload(store, monitor, threshold=settings.offload_threshold)
            async with looking_on(offload):
                yield JobsDesk(store, offload, monitor.status)
    finally:
        await store.aclose()


def job_store(settings: Settings) -> "JobStore":
    """The jobs that `settings` describe."""
    from sidecar.jobs.store import JobStore

    return JobStore(settings, keys_of(settings))


def job_handlers(settings: Settings, upstream: Upstream, store: "JobStore") -> "dict[Lane, tuple[JobHandler, int]]":
    """A handler for each lane, with the jobs it takes at once. Each has an engine, and so slots, of its own."""
    from sidecar.jobs.worker.handler import JobHandler
    from sidecar.jobs.worker.lease import Runs

    runs = Runs(store, keep_seconds=settings.job_result_ttl)
    sizes: dict[Lane, int] = {"day": settings.offload_concurrency, "night": settings.worker_concurrency}
    benches = {}
    for lane, size in sizes.items():
        # What is finished is kept in Redis, for every worker.
        own = msgspec.structs.replace(settings, concurrency=size, cache_bytes=0)
        service = service_of(own, upstream)
        benches[lane] = (JobHandler(runs, service, timeout=settings.job_timeout, background=lane == "night"), size)
    return benches


async def run_stdio(settings: Settings, *, source: int, sink: int, waited: float = 0.0, demo: bool = False) -> int:
    """Answer the lines of the descriptor `source` on `sink`; the exit code. `waited`: see `serve_stdio`."""
    from sidecar.provider.stdlib.client import LightUpstream
    from sidecar.stdio.server import serve_stdio

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        upstream = LightUpstream(settings)
        stack.push_async_callback(upstream.aclose)
        service = service_of(settings, upstream)
        with stop_requested() as stop:
            return await serve_stdio(service, settings, source=source, sink=sink, stop=stop, waited=waited)


@asynccontextmanager
async def _demo(settings: Settings) -> AsyncIterator[Settings]:
    """Start the demo upstream inside; gives the settings that point at it."""
    from sidecar.demo.options import Options
    from sidecar.demo.server import serve

    async with serve(Options()) as demo:
        events.warning("demo", note="answers come from the demo upstream; they are canned and not from a model")
        yield msgspec.structs.replace(
            settings, openai_base_url=f"{demo.url}/v1", openai_api_key="demo", openai_model="demo", proxies={}
        )


def run(main: Callable[[], Coroutine[Any, Any, int]], *, fast_loop: bool) -> int:
    """Run `main` to its exit code; `fast_loop` under uvloop."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if fast_loop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
