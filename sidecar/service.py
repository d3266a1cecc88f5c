"""The service of a process or lane: engine, completions and background runner over one kernel, as the settings say."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sidecar.config.settings import Settings
from sidecar.core.ports import Upstream
from sidecar.engine.admission import Admission
from sidecar.engine.background import Background
from sidecar.engine.completions import Completions
from sidecar.engine.drain import Drain
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.offload import OffloadPort
from sidecar.engine.request_log import RequestLog
from sidecar.engine.service import Service
from sidecar.engine.splitter import Splitter
from sidecar.engines import engine_of, kernel_of
from sidecar.providers import keys_of, limits_of

if TYPE_CHECKING:
    from sidecar.engine.quotas.quotas import Quotas


def service_of(
    settings: Settings,
    upstream: Upstream | Pool,
    offload: OffloadPort | None = None,
    *,
    keys: Keys | None = None,
    clock: Callable[[], float] = time.monotonic,
    quotas: "Quotas | None" = None,
    admission: Admission | None = None,
) -> Service:
    """Build engine, completions and background runner side by side, as `settings` describe them.

    `upstream`: the provider, or a pool of providers, whose `keys` may change with them. `admission`: one that this
    process shares with others.
    """
    kernel = kernel_of(settings, upstream, keys or keys_of(settings), clock)
    admission = admission or Admission(places=settings.queue_size, size=settings.queue_bytes)
    drain, log = Drain(admission, clock=clock), RequestLog(kernel.calls, admission)
    splitter, limits = Splitter(), limits_of(settings)
    return Service(
        kernel=kernel,
        admission=admission,
        drain=drain,
        log=log,
        engine=engine_of(settings, kernel, drain=drain, log=log, splitter=splitter, offload=offload),
        completions=Completions(kernel, drain=drain, log=log),
        background=Background(kernel, drain=drain, splitter=splitter, limits=limits, longest=settings.call_timeout),
        quotas=quotas,
    )
