"""A provider that reads large bodies and answers all of them together; small ones at once."""

import asyncio
from typing import Self

from tests.support.scripted_provider import http

LARGE = 2**20


class HoldingProvider:
    """Holds the answers to bodies of a MiB or more until `release`."""

    def __init__(self, bodies: int) -> None:
        self.url = ""
        self.full = asyncio.Event()
        """Set once so many large bodies were read."""
        self._left = bodies
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    def release(self) -> None:
        """Answer the large bodies."""
        self._released.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = left = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
                while left:
                    left -= len(await reader.read(left))
                if length >= LARGE:
                    self._left -= 1
                    if not self._left:
                        self.full.set()
                    await self._released.wait()
                writer.write(http())
        except (asyncio.IncompleteReadError, OSError):
            writer.close()
