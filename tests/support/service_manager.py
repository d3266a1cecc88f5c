"""A service manager's socket, as systemd opens one: a datagram socket that notifications are read from."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

PATIENCE = 30.0
"""Seconds after which a test that waits for a notification has failed."""


class Manager:
    """Remembers every notification, each as its lines."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.socket = sock
        self.address = address
        self.messages: list[list[str]] = []
        self._heard = asyncio.Condition()
        self._noting: set[asyncio.Task[None]] = set()

    @property
    def lines(self) -> list[str]:
        return [line for message in self.messages for line in message]

    @property
    def statuses(self) -> list[str]:
        return [line.removeprefix("STATUS=") for line in self.lines if line.startswith("STATUS=")]

    def read(self) -> None:
        """Take what has come."""
        while True:
            try:
                self.messages.append(self.socket.recv(65_536).decode().split("\n"))
            except BlockingIOError:
                break
        task = asyncio.get_running_loop().create_task(self._note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _note(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    async def until(self, done: Callable[[list[str]], bool]) -> None:
        """Return as soon as `done(lines)` is true."""
        async with asyncio.timeout(PATIENCE), self._heard:
            await self._heard.wait_for(lambda: done(self.lines))

    async def line(self, line: str, count: int = 1) -> None:
        """Return once this line has come so many times."""
        await self.until(lambda lines: lines.count(line) >= count)


@asynccontextmanager
async def service_manager(folder: Path, *, abstract: bool = False) -> AsyncIterator[Manager]:
    """A socket in `folder`, or one named after it in the abstract name space, as both kinds of systemd have it."""
    address = f"{'@' if abstract else ''}{folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0", 1) if abstract else address)
        sock.setblocking(False)
        manager = Manager(sock, address)
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, manager.read)
        try:
            yield manager
        finally:
            loop.remove_reader(sock)
            manager.read()
