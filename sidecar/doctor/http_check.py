"""One plain HTTP request to a server near by, for the checks of the port and of the plugin's address."""

import asyncio
import base64
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from sidecar.provider.stdlib.http1 import Connection, Headers
from sidecar.provider.stdlib.http1_reader import ProtocolError

SECONDS: Final = 5.0
NOT_LISTENING: Final = "nothing listens there"
_LARGEST: Final = 2**20


class Response(NamedTuple):
    """Status and body of a response."""

    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Body as a JSON object; empty where the body is no JSON object."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


async def fetch(url: str, *, body: bytes | None = None) -> Response | str:
    """Return the response to GET, or to POST of `body`; without a response, return the cause in a few words."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if parts.scheme == "https" else 80),
                ssl=parts.scheme == "https" or None,
            )
            connection = Connection(reader, writer)
            try:
                method = "GET" if body is None else "POST"
                status, _ = await connection.request(method, _target(parts), _headers(parts, body), body or b"")
                return Response(status, await read(connection))
            finally:
                connection.abort()
    except TimeoutError:
        return f"it does not answer within {SECONDS:.0f} seconds"
    except ConnectionRefusedError:
        return NOT_LISTENING
    except (OSError, EOFError) as exc:
        return f"no answer ({(exc.strerror if isinstance(exc, OSError) else None) or 'the connection was closed'})"
    except (ProtocolError, UnicodeError):
        return "what answers does not speak HTTP"


async def read(connection: Connection) -> bytes:
    """Return the body, at most about 1 MiB, which is enough for a check."""
    body = bytearray()
    async for chunk in connection.chunks():
        body += chunk
        if len(body) > _LARGEST:
            break
    return bytes(body)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(parts: SplitResult, body: bytes | None) -> Headers:
    headers = [("Host", parts.netloc.rpartition("@")[2]), ("Connection", "close")]
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    if body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return headers
