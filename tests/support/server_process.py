"""The real command as a process that serves: started as by an administrator, its log read, and stopped."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support.http_sidecar import Answer, Caller, head, post
from tests.support.paths import ROOT

PATIENCE = 60.0
"""Seconds after which a test that waits for the process has failed."""


class Logged:
    """A process that logs JSON lines on stderr."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.raw = b""
        self._heard = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(), name="stderr")

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.raw += line
            if line.startswith(b"{"):
                async with self._heard:
                    self.log.append(json.loads(line))
                    self._heard.notify_all()

    async def until(self, done: Callable[[Sequence[dict[str, Any]]], bool]) -> None:
        """Return as soon as `done(log)` is true."""
        async with asyncio.timeout(PATIENCE), self._heard:
            await self._heard.wait_for(lambda: done(self.log))

    async def event(self, name: str, *, after: int = 0, **fields: object) -> dict[str, Any]:
        """Return the first event with this name and these fields from log line `after` on, once it is logged."""

        def found(log: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
            return next((x for x in log[after:] if x["event"] == name and fields.items() <= x.items()), None)

        await self.until(lambda log: found(log) is not None)
        line = found(self.log)
        assert line is not None
        return line

    async def ended(self) -> int:
        """Return the exit code, once the process has ended and its log is read."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
        return code


class Served(Logged):
    """A process that listens."""

    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.host, self.port = "", 0

    async def call(self) -> Caller:
        """Return a new connection."""
        return await Caller.connect(self.host, self.port)

    async def fetch(self, request: bytes) -> Answer:
        """Return the first answer to `request` on a new connection."""
        async with await self.call() as caller:
            await caller.send(request)
            return await caller.receive()

    async def chat(self, content: str, **fields: object) -> Any:
        """Return the reply to a chat, or to another action in `fields`."""
        body = json.dumps({"action": "chat", "content": content} | fields).encode()
        return (await self.fetch(post(body, "Connection: close"))).json

    async def get(self, path: str) -> Answer:
        return await self.fetch(head("Connection: close", path=path, method="GET"))


async def finished(process: Process, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Give a command its input and wait for its end; return exit code, stdout and stderr."""
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, out, (err or b"").decode()


@asynccontextmanager
async def served(*words: str, shell: str = "", stdin: Any = DEVNULL, **env: str) -> AsyncIterator[Served]:
    """Run the command in HTTP mode on a free port, in an environment of `env` alone.

    `shell` is the script of a shell that starts the command as `"$@"`; blank is no shell. `stdin` may be a socket too.
    """
    command = [sys.executable, "-m", "sidecar", "--http-mode", "--port=0", "--log-format=json", *words]
    if shell:
        command[:0] = ["/bin/sh", "-c", shell, "sh"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=stdin, stdout=DEVNULL, stderr=PIPE, limit=2**24
    )
    served = Served(process)
    try:
        address = (await served.event("listening"))["ai"].removeprefix("http://").removesuffix("/ai")
        served.host, _, port = address.rpartition(":")
        served.port = int(port)
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await served.ended()
