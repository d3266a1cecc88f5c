"""Wiring of one serving process under a parent: routes and provider clients here, the engine there."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from sidecar.config.settings import Settings
from sidecar.config.tokens import TokensFile
from sidecar.core import events
from sidecar.engine.formats.formatter import formatter_of
from sidecar.engine.pump import Pump
from sidecar.engine.service import Service
from sidecar.http.dashboard.relayed import RelayedFeed
from sidecar.http.responses.openai import BodyShape
from sidecar.http.server.relayed import Relayed
from sidecar.http.server.server import Listening, serve
from sidecar.processes.admission import SharedAdmission
from sidecar.processes.block import Block
from sidecar.processes.child import ChildEnd, Clients
from sidecar.processes.lease import Lease
from sidecar.processes.link import Link
from sidecar.processes.local import LocalAnswers, WaitingCalls
from sidecar.processes.messages import Ready, Stop
from sidecar.processes.pages import RelayedPages
from sidecar.processes.relay import RelayedCompletions, RelayedEngine, RelayedLog, RelayedQuotas
from sidecar.processes.signs import signs_of_life
from sidecar.processes.turns import SharedTurns
from sidecar.processes.whole import published_check
from sidecar.provider.selection import server_client
from sidecar.providers import Client, Providers, limits_of, reloading
from sidecar.quotas import Limits
from sidecar.runtime import garbage
from sidecar.runtime.signals import done_or_stopped, stop_requested
from sidecar.service import service_of
from sidecar.wiring import NO_JOBS, ServerJobs, job_store

_shapes: Final = msgspec.msgpack.Decoder(BodyShape)


class Passed(NamedTuple):
    """Row of this process, and the descriptors that the parent passed on."""

    row: int
    sock: int
    """The listening socket."""
    link: int
    block: int


class _Stopping:
    """Stop of this process: as the parent says, or alone by a signal, with the others still serving."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.note: Stop | None = None

    def take(self, note: Stop) -> None:
        self.note = note
        self._stop.set()

    async def finish(self, listening: Listening, grace: float) -> None:
        """Finish accepted requests. Without other holders of the socket, new ones are refused until then."""
        note = self.note or Stop(grace, last=False)
        listening.exclusive = note.last
        await (listening.drain if note.last else listening.hand_over)(note.grace)


async def run_serving(settings: Settings, passed: Passed) -> int:
    """Serve HTTP under a parent until it says stop; return the exit code."""
    async with AsyncExitStack() as stack:
        with stop_requested(service=True) as stop:
            stopping, clients = _Stopping(stop), Clients()
            end = ChildEnd(clients, _shapes.decode, stop=stopping.take, lost=_parent_gone)
            await _connect(end.link, passed.link)
            providers = Providers(settings, lambda own: _made(clients, own))
            stack.push_async_callback(providers.aclose)
            clients.reload = providers.reload
            warm = providers.warm()
            jobs = await stack.enter_async_context(_jobs(settings, providers)) if settings.redis_url else NO_JOBS
            block = Block(passed.block, settings.processes)
            os.close(passed.block)
            service = _service(settings, providers, end, block, passed.row)
            limits, pages = Limits(settings, service.quotas), RelayedPages(end.link)
            relayed = Relayed(
                status=pages.status,
                provider=lambda: published_check(block),
                feed=RelayedFeed(pages.events),
                turns=SharedTurns(block, passed.row),
            )
            await done_or_stopped(warm, stop)
            serving = serve(
                service,
                settings,
                sock=_listening(passed.sock),
                jobs=jobs.store,
                jobs_status=jobs.status,
                metrics=pages,
                relayed=relayed,
            )
            with reloading(settings, providers.reload, limits.reload):
                async with signs_of_life(block, passed.row), serving as listening:
                    service.kernel.calls.open_after(None)
                    garbage.rarely()
                    end.link.tell(Ready(listening.url))
                    await stop.wait()
                    await stopping.finish(listening, settings.shutdown_grace)
                    if end.lease is not None:
                        end.lease.report()
    return 0


async def _connect(link: Link, descriptor: int) -> None:
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    sock.set_inheritable(False)
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=sock)


def _listening(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    return sock


def _parent_gone() -> None:
    """End this process: without its parent it can answer nothing."""
    events.warning("parent_gone", note="the process ends with its parent")
    os._exit(1)


def _made(clients: Clients, settings: Settings) -> Client:
    return clients.add(settings, server_client(settings))


def _service(settings: Settings, providers: Providers, end: ChildEnd, block: Block, index: int) -> Service:
    """Return a service whose engine, completions, log and limits are the parent's."""
    admission = SharedAdmission(block, index, places=settings.queue_size, size=settings.queue_bytes)
    limited = settings.tokens_file != ""
    quotas = RelayedQuotas(settings.tokens or TokensFile(), end.link) if limited else None
    pool = providers.pool()
    own = service_of(settings, pool, keys=providers.keys, quotas=quotas, admission=admission)
    end.lease = lease = Lease(end.link, block, index, clock=own.clock, others=lambda: len(end.holdings))
    local = LocalAnswers(
        lease,
        pool.providers[0].upstream,
        own.drain,
        Pump(own.drain, WaitingCalls(block), own.clock),
        formatter_of(settings, usual="html"),
        limits=limits_of(settings),
        pseudonym=own.kernel.pseudonym,
    )
    return msgspec.structs.replace(
        own,
        engine=RelayedEngine(end.link, end.holdings, local),
        completions=RelayedCompletions(end.link, end.holdings, local, providers.keys, limited=limited),
        log=RelayedLog(end.link, block, own),
    )


@asynccontextmanager
async def _jobs(settings: Settings, providers: Providers) -> AsyncIterator[ServerJobs]:
    """Open the store of jobs and look at Redis during the block; offload is the parent's."""
    from sidecar.jobs.monitor import monitoring  # noqa: PLC0415 - late: most servers have no jobs

    store = job_store(settings, providers.keys)
    try:
        async with monitoring(store, starting=settings.redis_url == "embedded") as monitor:
            yield ServerJobs(store, None, monitor.status)
    finally:
        await store.aclose()
