"""Kernel and engine as the settings say: what every process that answers requests has."""

from collections.abc import Callable

from sidecar.config.settings import Settings
from sidecar.core.ports import Upstream
from sidecar.engine.answer_cache import AnswerCache
from sidecar.engine.context_size import ContextSizes
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine
from sidecar.engine.formats.formatter import formatter_of
from sidecar.engine.kernel import Kernel, no_pseudonym, pseudonym_under
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import Pool, alone
from sidecar.engine.offload import OffloadPort
from sidecar.engine.request_log import RequestLog
from sidecar.engine.single_flight import SingleFlight
from sidecar.engine.splitter import Splitter
from sidecar.providers import limits_of


def kernel_of(settings: Settings, upstream: Upstream | Pool, keys: Keys, clock: Callable[[], float]) -> Kernel:
    """Build the kernel over `upstream`: the provider, or a pool of providers."""
    if not isinstance(upstream, Pool):
        upstream = alone(upstream, concurrency=settings.concurrency, model=settings.openai_model, clock=clock)
    return Kernel(
        calls=Calls(upstream, clock=clock),
        flights=SingleFlight(AnswerCache(ttl=settings.cache_ttl, size=settings.cache_bytes)),
        keys=keys,
        contexts=ContextSizes(upstream.models),
        pseudonym=pseudonym_under(settings.user_secret) if settings.send_user else no_pseudonym,
    )


def engine_of(
    settings: Settings,
    kernel: Kernel,
    *,
    drain: Drain,
    log: RequestLog,
    splitter: Splitter,
    offload: OffloadPort | None = None,
    lasting: bool = True,
) -> Engine:
    """Build the engine. `lasting`: false for a process of a few requests, which loads nothing before it is needed."""
    return Engine(
        kernel,
        drain=drain,
        log=log,
        splitter=splitter,
        limits=limits_of(settings),
        formatter=formatter_of(settings, usual="html", cached=True, lasting=lasting),
        offload=offload,
    )
