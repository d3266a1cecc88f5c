"""A service of several serving processes, all in this process: real sockets and links, and a provider held by tests."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

from sidecar.config.load import with_tokens
from sidecar.config.settings import Settings
from sidecar.engine.pump import SILENT_SECONDS
from sidecar.engine.service import Service
from sidecar.http.dashboard.relayed import RelayedFeed
from sidecar.http.server.relayed import Relayed
from sidecar.http.server.server import serve
from sidecar.http.server.timings import Timings
from sidecar.processes.block import Block, open_block
from sidecar.processes.child import ChildEnd, Clients, LentClient
from sidecar.processes.group import Group
from sidecar.processes.lease import Lease
from sidecar.processes.lending import Lender
from sidecar.processes.link import Link
from sidecar.processes.pages import RelayedPages
from sidecar.processes.parent import ParentEnd
from sidecar.processes.remote_provider import RemoteProvider
from sidecar.processes.supervisor import ServingProcess
from sidecar.processes.turns import SharedTurns
from sidecar.processes.whole import WholeAdmission, published_check, publishing
from sidecar.providers import Providers
from sidecar.quotas import limits_by_token
from sidecar.service import service_of
from sidecar.serving import _service, _shapes
from sidecar.several import _Pages, parent_keys
from tests.support.engines import with_streams
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Sidecar, settings_of


class Several:
    """The parent's service and its serving ends, each with an address of its own."""

    service: Service
    lender: Lender

    def __init__(self, block: Block) -> None:
        self.block = block
        self.sidecars: list[Sidecar] = []
        self.links: list[Link] = []
        """The parent's ends."""
        self.processes: list[ServingProcess] = []
        """Blank: all ends are in this process."""
        self.ends: list[Link] = []
        self.leases: list[Lease] = []
        self.restarts = 0


@asynccontextmanager
async def several(
    upstream: HeldUpstream | None = None,
    *,
    count: int = 2,
    silent_seconds: float = SILENT_SECONDS,
    upstreams: Mapping[str, HeldUpstream] | None = None,
    **named: str,
) -> AsyncIterator[Several]:
    """Run a parent and `count` serving ends under the settings `named`.

    `upstream` stands for every provider, and `upstreams`, by host, for those of a PROVIDERS_FILE.
    """
    settings = with_tokens(settings_of(PROCESSES=str(count), **named))
    upstream = upstream or HeldUpstream()
    fd = open_block(count)
    async with AsyncExitStack() as stack:
        stack.callback(os.close, fd)
        block = Block(fd, count)
        limits = await stack.enter_async_context(limits_by_token(settings))
        admission = WholeAdmission(block, places=settings.queue_size, size=settings.queue_bytes)
        links = Several(block)
        providers = Providers(settings, partial(RemoteProvider, links))
        keys = providers.keys = parent_keys(settings)
        links.service = service = service_of(
            settings, providers.pool(), keys=keys, quotas=limits.quotas, admission=admission
        )
        links.service = service = with_streams(service, silent_seconds=silent_seconds)
        pages = _Pages(service, settings, cast("Group", links), block, None)
        lends = not (settings.providers_file or settings.tokens_file)
        links.lender = lender = Lender(service.kernel.calls, service.log, block, lends=lends)
        await stack.enter_async_context(publishing(service, admission, block))
        await stack.enter_async_context(pages.feeding.running())
        for row in range(count):
            await _serve(
                stack,
                settings,
                links,
                pages=pages,
                lender=lender,
                upstream=upstream,
                upstreams=upstreams or {},
                row=row,
            )
        yield links


async def _serve(
    stack: AsyncExitStack,
    settings: Settings,
    several: Several,
    *,
    pages: _Pages,
    lender: Lender,
    upstream: HeldUpstream,
    upstreams: Mapping[str, HeldUpstream],
    row: int,
) -> None:
    parent = ParentEnd(several.service, pages, lender, ready=lambda _: None, lost=lambda: several.block.clear(row))
    clients = Clients()
    child = ChildEnd(clients, _shapes.decode, stop=lambda _: None, lost=lambda: None)
    await linked(parent.link, child.link)

    def client(own: Settings) -> LentClient:
        return clients.add(own, upstreams.get(own.provider_host, upstream))

    service = _service(settings, Providers(settings, client), child, several.block, row)
    shown = RelayedPages(child.link)
    relayed = Relayed(
        status=shown.status,
        provider=lambda: published_check(several.block),
        feed=RelayedFeed(shown.events),
        turns=SharedTurns(several.block, row),
    )
    listening = await stack.enter_async_context(
        serve(service, settings, metrics=shown, relayed=relayed, timings=Timings(half_close_seconds=0.0))
    )
    stack.callback(child.link.close)
    several.links.append(parent.link)
    several.ends.append(child.link)
    if child.lease is not None:
        several.leases.append(child.lease)
    several.sidecars.append(Sidecar(listening, service, upstream))


async def linked(one: Link, other: Link) -> None:
    """Connect two ends by a real pair of sockets."""
    loop = asyncio.get_running_loop()
    for link, sock in zip((one, other), socket.socketpair(), strict=True):
        sock.setblocking(False)
        await loop.create_unix_connection(partial(_same, link), sock=sock)


def _same(link: Link) -> Link:
    return link


async def until(done: Callable[[], object]) -> None:
    """Return once a condition of the parent's own counters holds: nothing tells of a change."""
    while not done():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
