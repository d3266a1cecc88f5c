"""Wiring of settings, engine and capabilities: HTTP, batch and worker all use the same engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from sidecar.config.load import take_passed_sockets
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.jobs import Lane
from sidecar.core.tracing import Tracer
from sidecar.engine.keys import Keys
from sidecar.engine.offload import OffloadPort
from sidecar.providers import Providers, demo_provider, keys_of, reloading, server_providers
from sidecar.runtime import garbage
from sidecar.runtime.signals import done_or_stopped, stop_requested
from sidecar.service import service_of
from sidecar.tracer import process_tracer

if TYPE_CHECKING:
    from sidecar.batch.batch import Batch
    from sidecar.core.progress import ProgressPort
    from sidecar.engine.quotas.quotas import Quotas
    from sidecar.jobs.monitor import JobsStatus
    from sidecar.jobs.store import JobStore
    from sidecar.jobs.worker.handler import JobHandler
    from sidecar.runtime.systemd import Systemd


async def run_http(settings: Settings, *, demo: bool = False) -> int:
    """Serve HTTP until SIGTERM or SIGINT, then drain; return the exit code."""
    # Late: commands that serve nothing import this module too.
    from sidecar.http.server.server import serve
    from sidecar.http.server.socket_activation import inherited
    from sidecar.publishing import server_metrics
    from sidecar.quotas import limits_by_token
    from sidecar.reports import reporting

    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(process_tracer(settings))
        if demo:
            settings = await stack.enter_async_context(demo_provider(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        warm, keys = providers.warm(), providers.keys
        jobs = await stack.enter_async_context(server_jobs(settings, keys)) if settings.redis_url else NO_JOBS
        limits = await stack.enter_async_context(limits_by_token(settings, providers.named))
        service = service_of(settings, providers.pool(), jobs.offload, keys=keys, quotas=limits.quotas)
        systemd = await stack.enter_async_context(reporting(settings, [service]))
        with stop_requested(service=True) as stop:
            sock = inherited(take_passed_sockets())
            serving = serve(
                service,
                settings,
                sock=sock,
                jobs=jobs.store,
                jobs_status=jobs.status,
                metrics=server_metrics(service, settings, jobs.status),
                tracer=tracer,
            )
            async with (
                embedded_jobs(settings, systemd, providers.reload, limits.reload) as finish,
                serving as listening,
            ):
                providers.log_hosts()
                url = listening.url
                service.kernel.calls.open_after(warm)
                systemd.ready_after(warm)
                # Requests are taken from here on. The line promises more: an answer that waits for no import.
                await done_or_stopped(warm, stop)
                garbage.rarely()
                events.info("listening", ai=f"{url}/ai", openai=f"{url}/v1", health=f"{url}/health")
                await stop.wait()
                systemd.stopping()
                finish()
                stopping = listening.drain if sock is None else listening.hand_over
                await stopping(settings.shutdown_grace)
                await limits.settle()
        events.info("stopped")
    return 0


@asynccontextmanager
async def embedded_jobs(
    settings: Settings, systemd: "Systemd", *reload: Callable[[], None]
) -> AsyncIterator[Callable[[], None]]:
    """Run the server's own Valkey and worker if REDIS_URL=embedded; give the function that drains the worker.

    On SIGHUP each `reload` is called, and the worker reads its files again too.
    """
    if settings.redis_url != "embedded":
        with reloading(settings, systemd.reload(*reload), always=systemd.present):
            yield lambda: None
        return
    from sidecar.jobs.embedded.embedded import embedded

    async with embedded(settings) as both:
        with reloading(settings, systemd.reload(*reload, both.reload), always=systemd.present):
            yield both.drain


async def run_worker(settings: Settings, *, demo: bool = False) -> int:
    """Run jobs until SIGTERM or SIGINT, then finish or requeue those in progress; return the exit code."""
    with stop_requested(service=True) as stop:
        async with worker_running(settings, demo=demo) as drain:
            await stop.wait()
            await drain()
    events.info("stopped")
    return 0


@asynccontextmanager
async def worker_running(settings: Settings, *, demo: bool = False) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run jobs during the block; give the drain: it takes no more jobs and lets those taken end in SHUTDOWN_GRACE."""
    from sidecar.jobs.worker.worker import working
    from sidecar.publishing import worker_metrics
    from sidecar.quotas import limits_by_token
    from sidecar.reports import reporting

    async with AsyncExitStack() as stack:
        tracer = await stack.enter_async_context(process_tracer(settings))
        if demo:
            settings = await stack.enter_async_context(demo_provider(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        store = job_store(settings, providers.keys)
        stack.push_async_callback(store.aclose)
        limits = await stack.enter_async_context(limits_by_token(settings, providers.named))
        handlers = job_handlers(settings, providers, store, tracer, limits.quotas)
        services = [handler.service for handler, _ in handlers.values()]
        systemd = await stack.enter_async_context(reporting(settings, services))
        stack.enter_context(
            reloading(settings, systemd.reload(providers.reload, limits.reload), always=systemd.present)
        )
        work = await stack.enter_async_context(working(store, handlers))
        await stack.enter_async_context(worker_metrics(settings, handlers, work))
        warm = providers.warm()
        for service in services:
            service.kernel.calls.open_after(warm)
        providers.log_hosts()
        events.info("working", lanes={lane: at_once for lane, (_, at_once) in handlers.items()})
        systemd.ready_after(warm)

        async def drain() -> None:
            for service in services:
                service.drain.begin(settings.shutdown_grace)
            systemd.stopping()
            await work.drain(settings.shutdown_grace)

        yield drain


async def run_batch(settings: Settings, batch: "Batch", progress: "ProgressPort", *, demo: bool = False) -> int:
    """Answer a file of requests until it is done, or until SIGTERM or SIGINT; return the exit code."""
    from sidecar.batch.batch import serve_batch

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(demo_provider(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        # No cache: the journal holds the finished answers, under the keys of the start whatever the providers are then.
        service = service_of(msgspec.structs.replace(settings, cache_bytes=0), providers.pool())
        with stop_requested() as stop, reloading(settings, providers.reload, hangup=stop):
            providers.log_hosts()
            service.kernel.calls.open_after(providers.warm())
            return await serve_batch(service, settings, batch, progress, stop)


class ServerJobs(NamedTuple):
    """Store, offload port and status of jobs, for a server; all None without Redis."""

    store: "JobStore | None" = None
    offload: OffloadPort | None = None
    status: "Callable[[], JobsStatus] | None" = None


NO_JOBS: Final = ServerJobs()


@asynccontextmanager
async def server_jobs(settings: Settings, keys: Keys | None = None) -> AsyncIterator[ServerJobs]:
    """Open the jobs that `settings` describe, and monitor Redis during the block. Redis may be away."""
    from sidecar.jobs.monitor import monitoring
    from sidecar.jobs.offload import Offload, looking_on

    store = job_store(settings, keys)
    try:
        async with monitoring(store, starting=settings.redis_url == "embedded") as monitor:
            offload = Offload(store, monitor, threshold=settings.offload_threshold)
            async with looking_on(offload):
                yield ServerJobs(store, offload, monitor.status)
    finally:
        await store.aclose()


def job_store(settings: Settings, keys: Keys | None = None) -> "JobStore":
    """Build the job store that `settings` describe."""
    from sidecar.jobs.store import JobStore

    return JobStore(settings, keys or keys_of(settings))


def job_handlers(
    settings: Settings,
    providers: Providers,
    store: "JobStore",
    tracer: Tracer | None = None,
    quotas: "Quotas | None" = None,
) -> "dict[Lane, tuple[JobHandler, int]]":
    """Build a handler for each lane, with its number of concurrent jobs. Each has its own engine, and so own slots."""
    from sidecar.jobs.worker.handler import JobHandler
    from sidecar.jobs.worker.lease import Runs

    runs = Runs(store, keep_seconds=settings.job_result_ttl)
    sizes: dict[Lane, int] = {"day": settings.offload_concurrency, "night": settings.worker_concurrency}
    handlers = {}
    for lane, size in sizes.items():
        # No cache: Redis holds finished answers, for every worker.
        own = msgspec.structs.replace(settings, concurrency=size, cache_bytes=0)
        service = service_of(own, providers.pool(most=size), keys=providers.keys, quotas=quotas)
        night, timeout = lane == "night", settings.job_timeout
        handlers[lane] = (JobHandler(runs, service, timeout=timeout, background=night, tracer=tracer), size)
    return handlers


def run(main: Callable[[], Coroutine[Any, Any, int]], *, fast_loop: bool) -> int:
    """Run `main`, under uvloop if `fast_loop`; return its exit code."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if fast_loop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
