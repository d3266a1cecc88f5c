"""Supervisor of a child process: the child is started again whenever it ends, until `stop`."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from sidecar.core import events
from sidecar.runtime import child_process, parent_death

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
"""Seconds before a restart; the pause doubles with each short life."""
_LONG_LIFE: Final = 10.0
"""Seconds of a life after which the pauses begin anew."""
_PROBE_SECONDS: Final = 0.05
_LAST_BYTES: Final = 4096


class Child:
    """One program, started again after each end.

    `dies_by` is the signal that the kernel sends the child when this process is gone. The child holds the file `lock`;
    `unlocked` is called where another process holds the file. The child's output goes to this process' stderr, or into
    the file `log`, one life at a time; the log of this process quotes its last line where the child ended before it
    was `ready`. The child is ready once `probe` returns true.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        dies_by: signal.Signals,
        lock: str = "",
        log: str = "",
        unlocked: Callable[[], Awaitable[None]] | None = None,
        probe: Callable[[int], Awaitable[bool]] | None = None,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        """Set while the child is ready."""
        # -I and -S: nothing of this machine's or of the working directory's is imported for four system calls.
        first = (sys.executable, "-I", "-S", parent_death.__file__)
        self._command = (*first, str(os.getpid()), str(int(dies_by)), lock, *command)
        self._env = dict(env)
        self._log = log
        self._unlocked = unlocked
        self._probe = probe
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Keep the child alive until `stop`; a cancellation kills the child."""
        loop = asyncio.get_running_loop()
        pause, before = FIRST_PAUSE, ""
        while not self._stopping.is_set():
            born = loop.time()
            how = await self._live()
            if self._stopping.is_set():
                return
            if self.ready.is_set() or loop.time() - born > _LONG_LIFE:
                pause, before = FIRST_PAUSE, ""
            if how != before:  # logged once, tried on
                events.warning("child_ended", child=self.name, how=how, note="it is started again")
            before = how
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _live(self) -> str:
        """Start the child, wait for its end, and return how the child ended."""
        self.ready.clear()
        try:
            self._process = process = await self._start()
        except OSError as exc:
            return f"it cannot be started ({exc.strerror})"
        watch = asyncio.create_task(self._watch(process.pid), name=f"start of {self.name}")
        try:
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
        finally:
            watch.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == parent_death.TAKEN and self._unlocked is not None:
            await self._unlocked()
            return "another one still holds its files"
        return child_process.ending(code) + (
            "" if self.ready.is_set() or not self._log else f": {_last_line(self._log)}"
        )

    async def _watch(self, pid: int) -> None:
        if self._probe is not None:
            while not await self._probe(pid):  # noqa: ASYNC110 - another process begins
                await asyncio.sleep(_PROBE_SECONDS)
            self.ready.set()

    async def _start(self) -> Process:
        output: int | None = None
        try:
            if self._log:
                output = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
                os.write(output, b"\n")  # on a full disk the child could not even say why it ends
            return await asyncio.create_subprocess_exec(
                *self._command,
                env=self._env,
                stdin=DEVNULL,
                stdout=DEVNULL if output is None else output,
                stderr=output,
                # Ctrl-C goes to a terminal's whole group, and the order of stopping is the server's.
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def stop(self) -> None:
        """Send SIGTERM, and start the child no more."""
        self._stopping.set()
        self.send(signal.SIGTERM)

    async def ended(self, seconds: float) -> None:
        """Wait for the end after `stop`, `seconds` at most; then kill the child."""
        await child_process.ended(self._process, seconds, child=self.name)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child, if one runs."""
        child_process.send(self._process, number)


def _last_line(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
            text = file.read(_LAST_BYTES).decode("utf-8", "replace")
    except OSError as exc:
        return f"its log cannot be read ({exc.strerror})"
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
