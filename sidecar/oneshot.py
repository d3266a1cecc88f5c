"""Wiring of the one-shot process: the engine and the light client, without what a server or worker has more."""

import asyncio
import time
from contextlib import AsyncExitStack

from sidecar.config.settings import Settings
from sidecar.engine.admission import Admission
from sidecar.engine.drain import Drain
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.request_log import RequestLog
from sidecar.engine.splitter import Splitter
from sidecar.engines import engine_of, kernel_of
from sidecar.provider.stdlib.client import LightUpstream
from sidecar.providers import Providers, demo_provider
from sidecar.runtime import garbage
from sidecar.runtime.signals import stop_requested
from sidecar.stdio.server import serve_stdio


def run_stdio(settings: Settings, *, source: int, sink: int, waited: float = 0.0, demo: bool = False) -> int:
    """Answer lines of the descriptor `source` on `sink`; return the exit code. `waited`: see `serve_stdio`."""
    garbage.rarely_from_now()
    with asyncio.Runner() as runner:
        return runner.run(_stdio(settings, source, sink, waited, demo=demo))


async def _stdio(settings: Settings, source: int, sink: int, waited: float, *, demo: bool) -> int:
    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(demo_provider(settings))
        providers = Providers(settings, LightUpstream)
        stack.push_async_callback(providers.aclose)
        answering = _Answering(settings, providers.pool(), providers.keys)
        with stop_requested() as stop:
            return await serve_stdio(answering, settings, source=source, sink=sink, stop=stop, waited=waited)


class _Answering:
    """Port `Answering` of this process."""

    def __init__(self, settings: Settings, pool: Pool, keys: Keys) -> None:
        self.clock = time.monotonic
        kernel = kernel_of(settings, pool, keys, self.clock)
        self.admission = Admission(places=settings.queue_size, size=settings.queue_bytes)
        self.drain = Drain(self.admission, clock=self.clock)
        log = RequestLog(kernel.calls, self.admission)
        self.engine = engine_of(settings, kernel, drain=self.drain, log=log, splitter=Splitter(), lasting=False)
