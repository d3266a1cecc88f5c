"""Supervisor of the serving processes: starts each, starts it again when it ends, and stops all of them.

A life that ends before the process serves, or soon after, is a short one. After several in a row the service ends
instead of trying for ever: its manager and its log then say so.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sidecar.core import events
from sidecar.processes.block import Block
from sidecar.processes.link import Link
from sidecar.processes.messages import Stop
from sidecar.processes.parent import ParentEnd
from sidecar.processes.signs import STUCK_SECONDS, silence
from sidecar.runtime import child_process, parent_death

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a process is started again; the pause doubles with each short life."""
SHORT_SECONDS: Final = 2.0
"""Seconds of serving after which a life is no short one."""
MOST_SHORT: Final = 5
"""Short lives in a row that end the service."""
LAST_SECONDS: Final = 4.0
"""Seconds beyond the grace in which a process closes its connections."""
BAD_SETTINGS: Final = 2
"""The exit code of a process that refused its settings: another try would end the same way."""

MakeEnd = Callable[[Callable[[str], None], Callable[[], None]], ParentEnd]
"""Makes the parent's end of a new process: functions for `ready`, with its URL, and for `lost`."""


class ServingProcess:
    """One serving process at the row `index` of the block, started again after each end, until `stop`."""

    def __init__(
        self, index: int, command: Sequence[str], *, env: Mapping[str, str], sock: int, block: tuple[int, Block]
    ) -> None:
        self.index = index
        self._command = command
        self._env = dict(env)
        self._sock = sock
        self._block_fd, self._block = block
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self.link: Link | None = None
        self.url = ""
        """The address that the process serves; blank while it does not."""
        self.starts = 0

    @property
    def pid(self) -> int:
        """The id of the process; 0 while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def keep(self, end: MakeEnd, changed: Callable[[], None]) -> int:
        """Keep the process alive until `stop`; return an exit code, not 0 where it ends again and again."""
        loop, pause, short = asyncio.get_running_loop(), FIRST_PAUSE, 0
        while not self._stopping.is_set():
            served_at: list[float] = []

            def ready(url: str) -> None:
                self.url = url
                served_at.append(loop.time())  # noqa: B023 - called within this life only
                changed()

            code = await self._live(end, ready)
            self.url = ""
            self._block.clear(self.index)
            changed()
            if self._stopping.is_set():
                return 0
            lasted = served_at and loop.time() - served_at[0] > SHORT_SECONDS
            if lasted or (served_at and code == 0):
                pause, short = FIRST_PAUSE, 0
            else:
                short += 1
            how = child_process.ending(code)
            if code == BAD_SETTINGS or short >= MOST_SHORT:
                note = "it ends again and again, so the service ends; the lines above say why"
                events.warning("process_failed", process=self.index, how=how, note=note)
                return code if code > 0 else 1
            events.warning("process_ended", process=self.index, how=how, note="it is started again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE)
        return 0

    async def _live(self, end: MakeEnd, ready: Callable[[str], None]) -> int:
        """Start the process, wait for its end, and return its exit code."""
        gone = asyncio.Event()
        ours, theirs = socket.socketpair()
        parent_end = end(ready, gone.set)
        with theirs:
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: parent_end.link, sock=ours)
            self.link = parent_end.link
            try:
                self._process = process = await self._start(theirs.fileno())
            except OSError as exc:
                events.warning("process_not_started", process=self.index, reason=exc.strerror)
                parent_end.link.close()
                return 1
        self.starts += 1
        try:
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            parent_end.link.close()
            await gone.wait()  # its requests are ended before another process has its row
        return code

    async def _start(self, link: int) -> Process:
        passed = (self._sock, link, self._block_fd)
        # -I and -S: nothing of this machine's or of the working directory's is imported for four system calls.
        first = (sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid()), str(int(signal.SIGKILL)), "")
        return await asyncio.create_subprocess_exec(
            *first,
            *self._command,
            str(self.index),
            *map(str, passed),
            env=self._env,
            stdin=DEVNULL,
            stdout=DEVNULL,
            pass_fds=passed,
            # Ctrl-C goes to a terminal's whole group, and the order of stopping is the parent's.
            start_new_session=True,
        )

    def end_if_stuck(self) -> None:
        """Kill the process if its event loop stands still: its callers wait in vain, and another one is started."""
        if self.url and (seconds := silence(self._block, self.index)) > STUCK_SECONDS:
            events.warning("process_stuck", process=self.index, seconds=round(seconds))
            self.send(signal.SIGKILL)

    def stop(self, grace: float, *, last: bool) -> None:
        """Have the process finish what it accepted, and start it no more."""
        self._stopping.set()
        if self.url and self.link is not None:
            self.link.tell(Stop(grace, last))
        else:
            self.send(signal.SIGTERM)

    async def ended(self, seconds: float) -> None:
        """Wait for the end after `stop`, `seconds` at most; then kill the process."""
        await child_process.ended(self._process, seconds, child=f"process {self.index}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if one runs."""
        child_process.send(self._process, number)
