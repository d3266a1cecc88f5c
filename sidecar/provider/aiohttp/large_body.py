"""Body of a request that is written in steps, each after the connection took the one before.

aiohttp gives bytes to the transport whole, and a transport copies what the provider has not read yet.
"""

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from sidecar.provider.codec import STEP, Body, Pieces


def written(body: Body) -> "bytes | LargeBody":
    """Return what aiohttp sends for `body`: small bodies as they are, with the head in one write."""
    if isinstance(body, bytes):
        return body if len(body) <= STEP else LargeBody(Pieces([memoryview(body)]))
    return LargeBody(body)


class LargeBody(payload.Payload):
    """Payload over the pieces of a body."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(pieces, content_type="application/json")
        self.pieces = pieces

    @property
    def size(self) -> int:
        """Bytes of the body, for its Content-Length."""
        return len(self.pieces)

    @property
    def autoclose(self) -> bool:
        """True, since there is nothing to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text, which aiohttp asks of every payload."""
        return bytes(self.pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body piece by piece."""
        for piece in self.pieces:
            await writer.write(piece)
