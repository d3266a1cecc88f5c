"""Embedded Valkey and worker, from the server's start to its end. The server serves without waiting for them.

The server holds STATE_DIR/lock: a second server on the same folder serves, and its jobs wait for the lock. Valkey holds
STATE_DIR/valkey.lock, so that a Valkey left over from a killed server never shares its files.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sidecar.config.load import environment_for_child
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.errors import JobsUnavailable
from sidecar.jobs.embedded.state_dir import check_folder, listener, taken, valkey_program
from sidecar.jobs.embedded.supervisor import Child
from sidecar.jobs.redis import SOCKET, bounded, connect
from sidecar.runtime.importable import importable

_LOOK_SECONDS: Final = 0.5
"""Seconds between two tries to take STATE_DIR."""
_LAST_SECONDS: Final = 9.0
"""Seconds of a worker beyond its grace: to put back what runs, and to wait for a silent Valkey."""
_SAVE_SECONDS: Final = 5.0
"""Seconds of Valkey to write its file."""
_ANSWER_SECONDS: Final = 1.0


class Embedded:
    """Valkey and the worker. The constructor raises `ConfigError` where they can never run."""

    def __init__(self, settings: Settings) -> None:
        check_folder(settings)
        self._settings = settings
        self._redis = connect(settings)
        self._lock: int | None = None
        self._until = 0.0
        self._valkey = Child(
            "valkey",
            _valkey_command(settings),
            env={},
            # SIGTERM lets Valkey write its file, also when this process was killed.
            dies_by=signal.SIGTERM,
            lock=f"{settings.state_dir}/valkey.lock",
            log=f"{settings.state_dir}/valkey.log",
            unlocked=self._end_leftover,
            probe=self._answers,
        )
        self._worker = Child(
            "worker",
            (sys.executable, "-P", "-m", "sidecar", "worker", "--env-file=/dev/null"),
            env=importable(environment_for_child(settings)),
            # Without Valkey the worker could finish nothing; its jobs are taken up again.
            dies_by=signal.SIGKILL,
        )

    async def run(self) -> None:
        """Take STATE_DIR as soon as the folder is free, and keep both alive until cancelled."""
        await self._take()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._valkey.keep(), name="valkey")
            await self._valkey.ready.wait()
            events.info("embedded", state_dir=self._settings.state_dir, note="a private Valkey holds the jobs")
            tasks.create_task(self._worker.keep(), name="worker")

    async def _take(self) -> None:
        warned = False
        while True:
            try:
                self._lock = taken(self._settings)
                why = "another server works in STATE_DIR; the jobs of this one begin when that one ends"
            except OSError as exc:
                why = f"STATE_DIR cannot be used ({exc.strerror})"
            if self._lock is not None:
                return
            if not warned:
                events.warning("embedded_waits", state_dir=self._settings.state_dir, reason=why)
                warned = True
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answers(self, pid: int) -> bool:
        if listener(self._settings) != pid:
            return False
        try:
            async with bounded(_ANSWER_SECONDS):
                await self._redis.ping()
        except JobsUnavailable:
            return False
        return True

    async def _end_leftover(self) -> None:
        """End a Valkey that holds the files and whose server is gone."""
        pid = listener(self._settings)
        if not pid:
            return
        events.warning("leftover", child="valkey", pid=pid, note="its server was killed; it is ended")
        # SIGCONT wakes a Valkey that was stopped, so that it ends.
        for number in (signal.SIGTERM, signal.SIGCONT):
            _kill(pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SAVE_SECONDS):
                while listener(self._settings) == pid:  # noqa: ASYNC110 - another process ends
                    await asyncio.sleep(0.05)
        if listener(self._settings) == pid:
            _kill(pid, signal.SIGKILL)

    def reload(self) -> None:
        """Have the worker read again what can be; a worker that just starts reads it anyway."""
        self._worker.send(signal.SIGHUP)

    def drain(self) -> None:
        """Have the worker take no more jobs, and finish its own within the server's grace."""
        self._until = asyncio.get_running_loop().time() + self._settings.shutdown_grace + _LAST_SECONDS
        self._worker.stop()

    async def close(self) -> None:
        """End both, the worker first."""
        if not self._until:
            self.drain()
        await self._worker.ended(max(0.0, self._until - asyncio.get_running_loop().time()))
        self._valkey.stop()
        await self._valkey.ended(_SAVE_SECONDS)
        await self._redis.aclose(close_connection_pool=True)

    def release(self) -> None:
        """Release STATE_DIR for another server."""
        if self._lock is not None:
            os.close(self._lock)


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Embedded]:
    """Run Valkey and the worker while the block lasts; raise `ConfigError` where they can never run."""
    both = Embedded(settings)
    running = asyncio.create_task(both.run(), name="embedded")
    running.add_done_callback(_faulted)
    try:
        yield both
    finally:
        try:
            await both.close()
        finally:
            running.cancel()
            await asyncio.wait([running])
            both.release()


def _faulted(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        events.fault("internal", exc)


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _valkey_command(settings: Settings) -> tuple[str, ...]:
    options = {
        "port": "0",
        "unixsocket": f"{settings.state_dir}/{SOCKET}",
        "unixsocketperm": "700",
        "dir": settings.state_dir,
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "maxclients": "1000",
        "loglevel": "warning",
        # A crash log shows the last command, and a user's text in it.
        "crash-log-enabled": "no",
    }
    return (valkey_program(), *(word for name, value in options.items() for word in (f"--{name}", value)))
