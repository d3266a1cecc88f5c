"""Wiring of settings, engine and capabilities: HTTP, stdio, batch and worker all use the same engine."""

import asyncio
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
from sidecar.engine.admission import Admission
from sidecar.engine.answer_cache import AnswerCache
from sidecar.engine.background import Background
from sidecar.engine.completions import Completions
from sidecar.engine.context_size import ContextSize
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine
from sidecar.engine.kernel import Kernel, no_pseudonym, pseudonym_under
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import Pool, alone
from sidecar.engine.offload import OffloadPort
from sidecar.engine.request_log import RequestLog
from sidecar.engine.service import Service
from sidecar.engine.single_flight import SingleFlight
from sidecar.engine.splitter import Splitter
from sidecar.providers import Providers, keys_of, limits_of, reloading, server_providers
from sidecar.runtime.signals import stop_requested

if TYPE_CHECKING:
    from sidecar.batch.batch import Batch
    from sidecar.core.progress import ProgressPort
    from sidecar.engine.quotas.quotas import Quotas
    from sidecar.jobs.store import JobStore
    from sidecar.jobs.worker.handler import JobHandler


def service_of(
    settings: Settings,
    upstream: Upstream | Pool,
    offload: OffloadPort | None = None,
    *,
    keys: Keys | None = None,
    clock: Callable[[], float] = time.monotonic,
    quotas: "Quotas | None" = None,
) -> Service:
    """Build engine, completions and background runner side by side, as `settings` describe them.

    `upstream`: the provider, or a pool of providers, whose `keys` may change with them.
    """
    kernel = _kernel(settings, upstream, keys or keys_of(settings), clock)
    admission = Admission(places=settings.queue_size, size=settings.queue_bytes)
    drain, log = Drain(admission, clock=clock), RequestLog(kernel.calls, admission)
    splitter, limits = Splitter(), limits_of(settings)
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
        quotas=quotas,
    )


def _kernel(settings: Settings, upstream: Upstream | Pool, keys: Keys, clock: Callable[[], float]) -> Kernel:
    if not isinstance(upstream, Pool):
        upstream = alone(upstream, concurrency=settings.concurrency, model=settings.openai_model, clock=clock)
    return Kernel(
        calls=Calls(upstream, clock=clock),
        flights=SingleFlight(AnswerCache(ttl=settings.cache_ttl, size=settings.cache_bytes)),
        keys=keys,
        context=ContextSize(),
        pseudonym=pseudonym_under(settings.user_secret) if settings.send_user else no_pseudonym,
    )


async def run_http(settings: Settings, *, demo: bool = False) -> int:
    """Serve HTTP until SIGTERM or SIGINT, then drain; return the exit code."""
    # Late: the one-shot process imports this module too and must not pay for aiohttp.
    from sidecar.http.server.server import serve
    from sidecar.http.server.socket_activation import inherited
    from sidecar.quotas import limits_by_token

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        keys = providers.keys
        jobs = await stack.enter_async_context(server_jobs(settings, keys)) if settings.redis_url else NO_JOBS
        limits = await stack.enter_async_context(limits_by_token(settings))
        service = service_of(settings, providers.pool(), jobs.offload, keys=keys, quotas=limits.quotas)
        with stop_requested() as stop:
            sock = inherited(take_passed_sockets())
            serving = serve(service, settings, sock=sock, jobs=jobs.store, jobs_status=jobs.status)
            async with _embedded_jobs(settings, providers.reload, limits.reload) as finish, serving as listening:
                providers.log_hosts()
                url = listening.url
                events.info("listening", ai=f"{url}/ai", openai=f"{url}/v1", health=f"{url}/health")
                service.kernel.calls.open_after(providers.warm())
                await stop.wait()
                finish()
                stopping = listening.drain if sock is None else listening.hand_over
                await stopping(settings.shutdown_grace)
                await limits.settle()
        events.info("stopped")
    return 0


@asynccontextmanager
async def _embedded_jobs(settings: Settings, *reload: Callable[[], None]) -> AsyncIterator[Callable[[], None]]:
    """Run the server's own Valkey and worker if REDIS_URL=embedded; give the function that drains the worker.

    On SIGHUP each `reload` is called, and the worker reads its files again too.
    """
    if settings.redis_url != "embedded":
        with reloading(settings, *reload):
            yield lambda: None
        return
    from sidecar.jobs.embedded.embedded import embedded

    async with embedded(settings) as both:
        with reloading(settings, *reload, both.reload):
            yield both.drain


async def run_worker(settings: Settings, *, demo: bool = False) -> int:
    """Run jobs until SIGTERM or SIGINT, then finish or requeue those in progress; return the exit code."""
    with stop_requested() as stop:
        async with worker_running(settings, demo=demo) as drain:
            await stop.wait()
            await drain()
    events.info("stopped")
    return 0


@asynccontextmanager
async def worker_running(settings: Settings, *, demo: bool = False) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Run jobs during the block; give the drain: it takes no more jobs and lets those taken end in SHUTDOWN_GRACE."""
    from sidecar.jobs.worker.worker import working
    from sidecar.quotas import limits_by_token

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        store = job_store(settings, providers.keys)
        stack.push_async_callback(store.aclose)
        limits = await stack.enter_async_context(limits_by_token(settings))
        handlers = job_handlers(settings, providers, store, limits.quotas)
        stack.enter_context(reloading(settings, providers.reload, limits.reload))
        work = await stack.enter_async_context(working(store, handlers))
        warm = providers.warm()
        for handler, _ in handlers.values():
            handler.service.kernel.calls.open_after(warm)
        providers.log_hosts()
        events.info("working", lanes={lane: at_once for lane, (_, at_once) in handlers.items()})

        async def drain() -> None:
            for handler, _ in handlers.values():
                handler.service.drain.begin(settings.shutdown_grace)
            await work.drain(settings.shutdown_grace)

        yield drain


async def run_batch(settings: Settings, batch: "Batch", progress: "ProgressPort", *, demo: bool = False) -> int:
    """Answer a file of requests until it is done, or until SIGTERM or SIGINT; return the exit code."""
    from sidecar.batch.batch import serve_batch

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        providers = await stack.enter_async_context(server_providers(settings))
        # No cache: the journal holds the finished answers.
        service = service_of(msgspec.structs.replace(settings, cache_bytes=0), providers.pool())
        with stop_requested() as stop:
            providers.log_hosts()
            service.kernel.calls.open_after(providers.warm())
            return await serve_batch(service, settings, batch, progress, stop)


class ServerJobs(NamedTuple):
    """Store, offload port and status of jobs, for a server; all None without Redis."""

    store: "JobStore | None" = None
    offload: OffloadPort | None = None
    status: Callable[[], object] | None = None


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
    settings: Settings, upstream: Upstream | Providers, store: "JobStore", quotas: "Quotas | None" = None
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
        if isinstance(upstream, Providers):
            service = service_of(own, upstream.pool(most=size), keys=upstream.keys, quotas=quotas)
        else:
            service = service_of(own, upstream, quotas=quotas)
        handlers[lane] = (JobHandler(runs, service, timeout=settings.job_timeout, background=lane == "night"), size)
    return handlers


async def run_stdio(settings: Settings, *, source: int, sink: int, waited: float = 0.0, demo: bool = False) -> int:
    """Answer lines of the descriptor `source` on `sink`; return the exit code. `waited`: see `serve_stdio`."""
    from sidecar.provider.stdlib.client import LightUpstream
    from sidecar.stdio.server import serve_stdio

    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(_demo(settings))
        providers = Providers(settings, LightUpstream)
        stack.push_async_callback(providers.aclose)
        service = service_of(settings, providers.pool())
        with stop_requested() as stop:
            return await serve_stdio(service, settings, source=source, sink=sink, stop=stop, waited=waited)


@asynccontextmanager
async def _demo(settings: Settings) -> AsyncIterator[Settings]:
    """Run the demo provider in this process; give the settings that point at it."""
    from sidecar.demo.options import Options
    from sidecar.demo.server import serve

    async with serve(Options()) as demo:
        events.warning("demo", note="answers come from the demo upstream; they are canned and not from a model")
        key = {"openai_api_key": "demo", "openai_api_key_file": "", "azure_auth": "auto"}
        yield msgspec.structs.replace(
            settings,
            openai_base_url=f"{demo.url}/v1",
            openai_model="demo",
            proxies={},
            providers_file="",
            providers=(),
            **key,
        )


def run(main: Callable[[], Coroutine[Any, Any, int]], *, fast_loop: bool) -> int:
    """Run `main`, under uvloop if `fast_loop`; return its exit code."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if fast_loop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
