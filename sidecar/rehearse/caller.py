"""Calls over HTTP as PHP makes them: a new connection for each click, and the caller's own time limit."""

import asyncio
from types import TracebackType
from typing import Final, Self

import aiohttp

from sidecar.rehearse.plan import Route
from sidecar.rehearse.replies import CLOSED, GAVE_UP, NO_ANSWER, UNREACHABLE, Reply, read_reply

PATHS: Final[dict[Route, str]] = {"ai": "/ai", "v1": "/v1/chat/completions?action=summarise_text"}
CONNECT_SECONDS: Final = 5.0
"""The plugin's limit for a connection (CONTRACT, "Who calls")."""
LARGEST_REPLY: Final = 8 * 2**20
_LOOK_SECONDS: Final = 5.0


class Caller:
    """Callers of one sidecar."""

    def __init__(self, base: str, *, token: str, patience: float, route: Route) -> None:
        self._base = base
        self._route: Route = route
        self._patience = patience
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            headers=self._headers,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def press(self, body: bytes) -> Reply:
        """Send one click; return its outcome, at the latest when the caller's patience ends."""
        down = self._route == "ai"  # the plugin then starts a process; Moodle's own subsystem has none
        try:
            async with asyncio.timeout(self._patience):
                status, content = await self._fetch("POST", PATHS[self._route], body)
        except aiohttp.ConnectionTimeoutError:
            return Reply(UNREACHABLE, fallback=down)
        except TimeoutError:
            return Reply(GAVE_UP, fallback=down)
        except aiohttp.ClientConnectorError:
            return Reply(UNREACHABLE, fallback=down)
        except (aiohttp.ClientError, OSError):
            return Reply(CLOSED, fallback=down)
        if len(content) > LARGEST_REPLY:
            return Reply(NO_ANSWER, fallback=False)
        return read_reply(self._route, status, content)

    async def look(self, path: str) -> tuple[int, bytes] | None:
        """Return status and body of a GET; None without a response."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await self._fetch("GET", path)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def _fetch(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        async with self._session.request(
            method, self._base + path, data=body, headers=headers, allow_redirects=False
        ) as response:
            content = bytearray()
            while len(content) <= LARGEST_REPLY and (piece := await response.content.readany()):
                content += piece
            return response.status, bytes(content)
