"""Serving HTTP: the doors on a socket, and the way they close. Signals and exit codes are the wiring's."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.engine.completions import SILENT_SECONDS, Completions
from sidecar.engine.engine import Engine
from sidecar.http.app import application
from sidecar.http.auth import Guard
from sidecar.http.router import Routes
from sidecar.http.routes.ai import ai_route
from sidecar.http.routes.completions import openai_routes
from sidecar.http.routes.description import description_route
from sidecar.http.routes.jobs import Jobs, jobs_routes
from sidecar.http.routes.ops import health_route, status_route
from sidecar.http.server.acceptor import Acceptor
from sidecar.http.server.connections import Connections
from sidecar.http.server.listener import BACKLOG, listen, local_only, raise_descriptor_limit, room
from sidecar.http.server.protocol import HEADER_SECONDS, IDLE_SECONDS, LINGER_SECONDS, READ_BUFFER

FLUSH_SECONDS: Final = 0.5
"""How long closing waits for responses under way; the library waits that long twice."""
FIRST_REQUEST_SECONDS: Final = 2.0
"""How long a handover waits for the first request of a connection that was accepted."""
LAST_REQUEST_SECONDS: Final = 0.5
"""The same where the server ends: who connected just before still hears that it does."""


class Listening:
    """A server at work, with the verbs for stopping it gently: drain or hand over, then leave the `serve` block."""

    def __init__(
        self,
        engine: Engine,
        acceptor: Acceptor,
        connections: Connections,
        address: tuple[str, int],
        *,
        ours: bool,
    ) -> None:
        self._engine = engine
        self._ours = ours
        self._acceptor = acceptor
        self._connections = connections
        self.host, self.port = address

    @property
    def url(self) -> str:
        """The address to call, without a path; for a unix socket as nginx's proxy_pass writes it."""
        if not self.port:
            return f"http://unix:{self.host}:"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def drain(self, grace: float) -> None:
        """Refuse new work but go on answering; return when what was accepted has ended, `grace` seconds at most."""
        self._engine.drain(grace)
        # A little over the grace: what ends then still says so to its caller.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + FLUSH_SECONDS):
                await self._engine.emptied()

    async def hand_over(self, grace: float) -> None:
        """Leave newcomers to whoever else holds the socket; return when everyone who was accepted has his answer.

        After `grace` seconds at most: who then still waits hears `shutting_down`. A connection on which nothing was
        asked yet has `FIRST_REQUEST_SECONDS` for it; kept ones end, idle ones at once.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + grace
        self.stop_accepting()
        await self._acceptor.settled()
        # What kept connections have sent already is read first: the loop looks at them once between two turns.
        for _ in range(2):
            await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._connections.conclude(min(grace, FIRST_REQUEST_SECONDS))
        await self.drain(max(0.0, until - loop.time()))

    def stop_accepting(self) -> None:
        """Take no new connection; those that are open go on."""
        self._acceptor.stop(last=self._ours)

    async def close(self) -> None:
        """Take no new connection, let responses under way out, end every other connection."""
        self.stop_accepting()
        # Who was accepted last gets to start, and to ask.
        await self._acceptor.settled()
        await self._connections.hear(LAST_REQUEST_SECONDS)
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
    completions: Completions,
    settings: Settings,
    guard: Guard | None,
    *,
    jobs: Jobs | None = None,
    jobs_status: Callable[[], object] | None = None,
) -> Routes:
    """Every address there is; `guard` is /ai's, `jobs` is where jobs are kept and `jobs_status` what /status tells."""
    engine, token = completions.engine, settings.sidecar_token
    guarded = Guard(token) if token else None
    return Routes(
        {
            "/ai": ai_route(engine, settings, guard),
            "/health": health_route(engine),
            "/status": status_route(engine, token, jobs=jobs_status),
            "/openapi.json": description_route(),
            **jobs_routes(engine, settings, guarded, jobs),
            **openai_routes(completions, settings, guarded),
        }
    )


@contextlib.asynccontextmanager
async def serve(
    engine: Engine,
    settings: Settings,
    *,
    sock: socket.socket | None = None,
    jobs: Jobs | None = None,
    jobs_status: Callable[[], object] | None = None,
    header_seconds: float = HEADER_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
    linger_seconds: float = LINGER_SECONDS,
    silent_seconds: float = SILENT_SECONDS,
    descriptors: int | None = None,
) -> AsyncIterator[Listening]:
    """Serve `engine` over HTTP on HOST and PORT, or on `sock`, which listens already and is closed at the end.

    `jobs` is where jobs are kept, None where there are none, and `jobs_status` what /status tells of them.
    `header_seconds` is the time to send complete headers, `idle_seconds` how long a kept connection may be idle,
    `linger_seconds` how long what a refused caller still sends is thrown away, `silent_seconds` how long a stream may
    stand still, `descriptors` how many open files the process may have (as many as it can get). Leaving the block
    closes within two seconds; `Listening.drain` and `Listening.hand_over` first let what was accepted end. Raises
    `ConfigError` where it cannot listen.
    """
    limit = raise_descriptor_limit()
    ours = sock is None
    sock = sock or listen(settings.host, settings.port)
    try:
        most = room(descriptors or limit, settings.concurrency)
        guard = _guard(settings, local=local_only(sock))

        completions = Completions(engine, silent_seconds=silent_seconds)
        doors = routes_of(completions, settings, guard, jobs=jobs, jobs_status=jobs_status)
        connections = Connections(
            application(doors, engine),
            refusal=lambda path: doors.find(path).refuse,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=idle_seconds,
            lingering_time=0,  # the protocol's own is gentler
            read_bufsize=READ_BUFFER,
            header_seconds=header_seconds,
            linger_seconds=linger_seconds,
        )
        sock.setblocking(False)
        sock.listen(BACKLOG)  # whoever opened an inherited one may have thought of fewer
        address = _bound(sock)
        acceptor = Acceptor(sock, connections, most=most)
    except BaseException:
        sock.close()
        raise
    listening = Listening(engine, acceptor, connections, address, ours=ours)
    try:
        yield listening
    finally:
        await listening.close()


def _guard(settings: Settings, *, local: bool) -> Guard | None:
    # Decided by the socket and not by HOST: an inherited one may be open to others.
    if settings.sidecar_token:
        return Guard(settings.sidecar_token) if settings.ai_require_token or not local else None
    if local or settings.allow_unauthenticated:
        return None
    raise ConfigError(["SIDECAR_TOKEN: required where other machines reach the sidecar"])
