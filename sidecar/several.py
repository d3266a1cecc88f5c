"""Wiring of PROCESSES: the parent, which has the engine, and the serving processes, which have the sockets.

The wiring of one process is in wiring.py; what both need is there.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from sidecar.config.load import environment_for_child, take_passed_sockets
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.engine.history.history import History
from sidecar.engine.service import Service
from sidecar.engine.status import Processes, status_of
from sidecar.http.dashboard.feed import Feed
from sidecar.http.server.listener import listen
from sidecar.http.server.socket_activation import inherited
from sidecar.processes.block import CONNECTIONS, Block, open_block
from sidecar.processes.forwarded_keys import ForwardedKeys
from sidecar.processes.group import Group
from sidecar.processes.lending import Lender
from sidecar.processes.messages import Page, PageMessage, Settle, decoder_of
from sidecar.processes.parent import ParentEnd
from sidecar.processes.remote_provider import RemoteProvider
from sidecar.processes.supervisor import ServingProcess
from sidecar.processes.whole import WholeAdmission, publishing
from sidecar.providers import Providers, demo_provider, limits_of, models_of
from sidecar.publishing import server_metrics
from sidecar.quotas import limits_by_token
from sidecar.reports import reporting
from sidecar.runtime import garbage
from sidecar.runtime.importable import importable
from sidecar.runtime.signals import stop_requested
from sidecar.service import service_of
from sidecar.wiring import NO_JOBS, embedded_jobs, server_jobs

if TYPE_CHECKING:
    from sidecar.jobs.monitor import JobsStatus

SETTLE_SECONDS: Final = 0.5
"""Longest wait of a page for a process that is busy: what it answered last is missing there then."""
_nothing: Final[msgspec.msgpack.Decoder[None]] = decoder_of(None)

COMMAND: Final = (sys.executable, "-P", "-m", "sidecar.cli.serving_process")


async def run_several(settings: Settings, *, demo: bool = False) -> int:
    """Serve HTTP with PROCESSES processes until SIGTERM or SIGINT, then drain; return the exit code."""
    group = Group()
    async with AsyncExitStack() as stack:
        if demo:
            settings = await stack.enter_async_context(demo_provider(settings))
        providers = Providers(settings, partial(RemoteProvider, group))
        stack.push_async_callback(providers.aclose)
        keys = providers.keys = parent_keys(settings)
        jobs = await stack.enter_async_context(server_jobs(settings, keys)) if settings.redis_url else NO_JOBS
        limits = await stack.enter_async_context(limits_by_token(settings))
        block_fd = open_block(settings.processes)
        stack.callback(os.close, block_fd)
        block = Block(block_fd, settings.processes)
        admission = WholeAdmission(block, places=settings.queue_size, size=settings.queue_bytes)
        service = service_of(
            settings, providers.pool(), jobs.offload, keys=keys, quotas=limits.quotas, admission=admission
        )
        systemd = await stack.enter_async_context(reporting(settings, [service]))
        with stop_requested(service=True) as stop:
            passed = inherited(take_passed_sockets())
            sock = passed or listen(settings.host, settings.port)
            stack.callback(sock.close)
            processes = _processes(settings, sock.fileno(), (block_fd, block))
            pages = _Pages(service, settings, group, block, jobs.status)
            lends = not (settings.providers_file or settings.tokens_file)
            lender = Lender(service.kernel.calls, service.log, block, lends=lends)
            reload = [providers.reload, limits.reload]
            reload += [group.reload] if settings.providers_file or settings.tokens_file else []
            async with (
                embedded_jobs(settings, systemd, *reload) as finish,
                pages.feeding.running(),
                publishing(service, admission, block),
                group.running(processes, lambda ready, lost: ParentEnd(service, pages, lender, ready=ready, lost=lost)),
            ):
                providers.log_hosts()
                if await _first(group.serving, stop, group.failed):
                    url = group.url
                    systemd.ready_after(None)
                    garbage.rarely()
                    shown = {"ai": f"{url}/ai", "openai": f"{url}/v1", "health": f"{url}/health"}
                    events.info("listening", **shown, processes=settings.processes)
                    await _first(stop, group.failed)
                systemd.stopping()
                finish()
                service.drain.begin(settings.shutdown_grace)
                pages.feeding.end()
                sock.close()  # the processes have it, and the last one answers what waits in it
                await group.stop(settings.shutdown_grace, last=passed is None)
                await limits.settle()
        events.info("stopped")
    return group.code


def parent_keys(settings: Settings) -> ForwardedKeys:
    """Return the keys of the parent's engine."""
    model = models_of(settings.providers) if settings.providers else settings.openai_model
    return ForwardedKeys(model=model, limits=limits_of(settings))


async def _first(*happened: asyncio.Event) -> bool:
    """Wait for the first of the events; return whether it is the one named first."""
    tasks = [asyncio.create_task(event.wait(), name="wait for one of several") for event in happened]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return happened[0].is_set()


def _processes(settings: Settings, sock: int, block: tuple[int, Block]) -> Sequence[ServingProcess]:
    env = importable(environment_for_child(settings))
    return [ServingProcess(at, COMMAND, env=env, sock=sock, block=block) for at in range(settings.processes)]


class _Pages:
    """Pages about all processes."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        group: Group,
        block: Block,
        jobs: "Callable[[], JobsStatus] | None",
    ) -> None:
        self._service = service
        self._settings = settings
        self._group = group
        self._jobs = jobs
        self._metrics = server_metrics(service, settings, jobs)
        self._metrics.count_connections(lambda: block.total(CONNECTIONS))
        self._metrics.count_children(lambda: [one.pid for one in group.processes if one.pid])
        self.feeding = Feed(History(service, jobs=jobs, embedded=settings.redis_url == "embedded"))

    async def page(self, message: PageMessage) -> Page:
        """Return the page that is asked for."""
        await self._settle()
        self._refresh()
        if message.name == "metrics":
            return Page(*await self._metrics.page(message.accept, exemplars=message.exemplars))
        group = self._group
        status = msgspec.structs.replace(
            status_of(self._service),
            processes=Processes(len(group.links), self._settings.processes, group.restarts),
        )
        if self._jobs is not None:
            status = msgspec.structs.replace(status, jobs=self._jobs())
        return Page("", msgspec.json.encode(status))

    async def _settle(self) -> None:
        """Have each process report what became of its calls."""
        waits = [link.request(Settle(), _nothing) for link in self._group.links]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await asyncio.gather(*waits, return_exceptions=True)

    def _refresh(self) -> None:
        if isinstance(admission := self._service.admission, WholeAdmission):
            admission.refresh()

    async def feed(self) -> AsyncGenerator[bytes, None]:
        """Yield the dashboard's events; raises `Overloaded` where too many pages are open."""
        page = self.feeding.open()
        try:
            while event := await page.next():
                yield event
        finally:
            self.feeding.close(page)
