"""The HTTP server: the routes on a socket, and its shutdown. Signals and exit codes are the wiring's."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.core.jobs import JobsHealth
from sidecar.core.quotas import Way
from sidecar.core.tracing import Tracer
from sidecar.engine.history.history import History
from sidecar.engine.service import Service
from sidecar.http.app import Answer, application
from sidecar.http.auth import Guard, Named
from sidecar.http.dashboard.feed import Feed
from sidecar.http.hosts import Hosts
from sidecar.http.router import Routes
from sidecar.http.routes.ai import ai_route
from sidecar.http.routes.completions import openai_routes
from sidecar.http.routes.dashboard import events_route, page_route
from sidecar.http.routes.jobs import Jobs, jobs_routes
from sidecar.http.routes.metrics import Metrics, metrics_route
from sidecar.http.routes.openapi import description_route
from sidecar.http.routes.ops import health_route, operators_only, status_route
from sidecar.http.routes.ready import ready_route
from sidecar.http.server.acceptor import Acceptor
from sidecar.http.server.connections import Connections
from sidecar.http.server.listener import BACKLOG, connection_limit, listen, local_only, raise_descriptor_limit
from sidecar.http.server.protocol import READ_BUFFER
from sidecar.http.server.relayed import Relayed
from sidecar.http.server.timings import USUAL, Timings
from sidecar.http.tracing import traced

FLUSH_SECONDS: Final = 0.5
"""Wait for responses in flight at the close; the library waits that long twice."""
FIRST_REQUEST_SECONDS: Final = 2.0
"""Wait of a handover for the first request of an accepted connection."""


class Listening:
    """A running server. For a gentle stop: `drain` or `hand_over`, then leave the `serve` block."""

    def __init__(
        self,
        service: Service,
        acceptor: Acceptor,
        connections: Connections,
        address: tuple[str, int],
        *,
        exclusive: bool,
        last_request_seconds: float,
        feed: Feed,
    ) -> None:
        self._service = service
        self._feed = feed
        self.exclusive = exclusive
        """True if no other process accepts from the socket: what waits there at the end is this one's to answer."""
        self._last_request_seconds = last_request_seconds
        self._acceptor = acceptor
        self._connections = connections
        self.host, self.port = address

    @property
    def url(self) -> str:
        """The server's URL without a path; for a unix socket in the notation of nginx's proxy_pass."""
        if not self.port:
            return f"http://unix:{self.host}:"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def drain(self, grace: float) -> None:
        """Refuse new work and finish accepted requests; return when they have ended, after `grace` seconds at most."""
        self._service.drain.begin(grace)
        self._feed.end()
        # A little over the grace: a request that ends with it can still be answered.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + FLUSH_SECONDS):
                await self._service.drain.emptied()

    async def hand_over(self, grace: float) -> None:
        """Leave new connections to the other holders of the socket; return when all accepted requests are answered.

        Requests unanswered after `grace` seconds fail with `shutting_down`. A connection without a request yet has
        `FIRST_REQUEST_SECONDS` for it; reused ones end after their answer, idle ones at once.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + grace
        self.stop_accepting()
        await self._acceptor.settled()
        self._feed.end()
        # Requests that reused connections have already sent are read first: the loop polls once between two turns.
        for _ in range(2):
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._connections.conclude(min(grace, FIRST_REQUEST_SECONDS))
        await self.drain(max(0.0, until - loop.time()))

    def stop_accepting(self) -> None:
        """Accept no new connections; open ones go on."""
        self._acceptor.stop(last=self.exclusive)

    async def close(self) -> None:
        """Accept no new connections, send the responses in flight, end every other connection."""
        self._feed.end()
        self.stop_accepting()
        # The connections accepted last get time to start, and to send a request.
        await self._acceptor.settled()
        await self._connections.first_requests(self._last_request_seconds)
        for _ in range(2):
            await asyncio.sleep(0)
        self._connections.pre_shutdown()
        await self._connections.shutdown(FLUSH_SECONDS)


def _bound(sock: socket.socket) -> tuple[str, int]:
    name = sock.getsockname()
    if isinstance(name, str | bytes):
        return os.fsdecode(name).replace("\0", "@"), 0
    return name[0], name[1]


def routes_of(
    service: Service,
    settings: Settings,
    guard: Guard | None,
    *,
    jobs: Jobs | None = None,
    jobs_status: Callable[[], JobsHealth] | None = None,
    metrics: Metrics | None = None,
    feed: Feed | None = None,
    relayed: Relayed | None = None,
) -> Routes:
    """Return all routes.

    `guard` is /ai's, `jobs` the store of jobs, `jobs_status` their numbers for /status, `metrics` the page of /metrics,
    `feed` the dashboard's numbers, `relayed` what the parent of several processes says.
    """
    token, named = settings.sidecar_token, service.quotas

    def guarded(way: Way) -> Guard | None:
        return Guard(token, named, way=way) if token or named is not None else None

    return Routes(
        {
            "/ai": ai_route(service, settings, guard),
            "/health": health_route(service),
            "/ready": ready_route(service, jobs_status, relayed and relayed.provider),
            "/status": status_route(service, token, jobs=jobs_status, whole=relayed and relayed.status),
            "/metrics": metrics_route(metrics, token, named=named),
            "/dashboard": page_route(),
            "/dashboard/events": events_route(feed or Feed(History(service)), operators_only(token, named=named)),
            "/openapi.json": description_route(),
            **jobs_routes(service, settings, guarded("jobs"), jobs),
            **openai_routes(service, settings, guarded("openai")),
        }
    )


@contextlib.asynccontextmanager
async def serve(
    service: Service,
    settings: Settings,
    *,
    sock: socket.socket | None = None,
    jobs: Jobs | None = None,
    jobs_status: Callable[[], JobsHealth] | None = None,
    metrics: Metrics | None = None,
    routes: Routes | None = None,
    tracer: Tracer | None = None,
    relayed: Relayed | None = None,
    timings: Timings = USUAL,
    descriptors: int | None = None,
) -> AsyncIterator[Listening]:
    """Serve `service` over HTTP on HOST and PORT, or on `sock`, which listens already and is closed at the end.

    `jobs` is the store of jobs, None without jobs, and `jobs_status` returns their numbers for /status. `metrics` is
    the page of /metrics, and `tracer` records a span of each request. `routes` replace the server's own, for a worker;
    `relayed` has the parts of one of several processes. `descriptors` is the most open files of the process (None: as
    many as it can get). Leaving the block closes within two seconds; `Listening.drain` and `Listening.hand_over` finish
    accepted requests before. Raises `ConfigError` if listening fails.
    """
    limit = raise_descriptor_limit()
    exclusive = sock is None
    sock = sock or listen(settings.host, settings.port)
    try:
        guard = _guard(settings, service.quotas, local=local_only(sock))
        if relayed is None:
            feed = Feed(History(service, jobs=jobs_status, embedded=settings.redis_url == "embedded"))
        else:
            feed = relayed.feed
        served = routes or routes_of(
            service, settings, guard, jobs=jobs, jobs_status=jobs_status, metrics=metrics, feed=feed, relayed=relayed
        )
        answer = application(served, service, _hosts(settings, service.quotas, sock))
        connections = _connections(answer if tracer is None else traced(answer, served, tracer), served, timings)
        if metrics is not None:
            metrics.count_connections(lambda: len(connections.open))
        sock.setblocking(False)
        sock.listen(BACKLOG)  # an inherited socket may have a smaller backlog
        address = _bound(sock)
        most = connection_limit(descriptors or limit, settings.concurrency)
        acceptor = Acceptor(sock, connections, most=most, turns=relayed and relayed.turns)
    except BaseException:
        sock.close()
        raise
    last = timings.last_request_seconds
    listening = Listening(
        service, acceptor, connections, address, exclusive=exclusive, last_request_seconds=last, feed=feed
    )
    async with feed.running():
        try:
            yield listening
        finally:
            await listening.close()


def _connections(answer: Answer, routes: Routes, timings: Timings) -> Connections:
    return Connections(
        answer,
        refusal=lambda path: routes.find(path).refuse,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=timings.idle_seconds,
        lingering_time=0,  # the protocol's own is gentler
        read_bufsize=READ_BUFFER,
        header_seconds=timings.header_seconds,
        linger_seconds=timings.linger_seconds,
        half_close_seconds=timings.half_close_seconds,
    )


def _hosts(settings: Settings, named: Named | None, sock: socket.socket) -> Hosts | None:
    # Beyond loopback names are the network's own, such as a compose service's; a unix socket is out of a browser's
    # reach.
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or not local_only(sock):
        return None
    return Hosts(settings.allowed_hosts, Guard(settings.sidecar_token, named))


def _guard(settings: Settings, named: Named | None, *, local: bool) -> Guard | None:
    # The socket decides, whatever HOST says: an inherited one may be open to other machines.
    required = settings.ai_require_token or not local
    guard = Guard(settings.sidecar_token, named, way="ai", required=required)
    if not (guard.armed or local or settings.allow_unauthenticated):
        raise ConfigError(["SIDECAR_TOKEN: required where other machines reach the sidecar"])
    # Where none is required, a named token says whose limits count.
    return guard if named is not None or (required and guard.armed) else None
