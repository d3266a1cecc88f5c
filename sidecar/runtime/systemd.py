"""Notifications to systemd, sd_notify(3), over a datagram socket: readiness, status, watchdog, reload, stop.

The event loop itself sends them, so that a loop that stands still is noticed.
"""

import asyncio
import faulthandler
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from sidecar.core import events

STATUS_SECONDS: Final = 5.0
"""Longest time between two looks at the status."""


class Systemd:
    """The service manager at the socket `address`, blank for none; then every method does nothing.

    `watchdog` is the seconds without a sign of life after which the manager ends the process, 0 for none. `status`
    returns the line that follows the state.
    """

    def __init__(self, address: str, *, watchdog: float = 0.0, status: Callable[[], str] = str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._status = status
        self._shown = ""
        self._unsent: tuple[str, ...] = ()
        """Lines for which the socket had no room."""
        self._warned = self._failed = self._ready = self._stopping = False
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_UNIX, kind) if address else None

    @property
    def present(self) -> bool:
        """Return whether there is a service manager."""
        return self._socket is not None

    def ready_after(self, loaded: "asyncio.Future[object] | None") -> None:
        """Report readiness once `loaded` is done, or now without it."""
        if loaded is None:
            self._report_ready()
        else:
            loaded.add_done_callback(lambda _: self._report_ready())

    def _report_ready(self) -> None:
        if not self._stopping:
            self._ready = True
            self._send("READY=1", *self._changed())

    def reload(self, *work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that calls each of `work`, reported as a reload."""

        def run() -> None:
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                for one in work:
                    one()
            finally:
                if self._ready:
                    self._send("READY=1")

        return run

    def stopping(self) -> None:
        """Report that the drain has begun."""
        self._stopping = True
        self._send("STOPPING=1", *self._changed())

    async def report(self) -> None:
        """Send signs of life and changes of the status until cancelled."""
        every = min(STATUS_SECONDS, self._watchdog / 2) if self._watchdog else STATUS_SECONDS
        while True:
            self._send(*self._changed(), *(("WATCHDOG=1",) if self._watchdog else ()))
            await asyncio.sleep(every)

    def _changed(self) -> tuple[str, ...]:
        """Return the line of a status that differs from the one before, nothing where the status fails."""
        state = "stopping" if self._stopping else "serving" if self._ready else "starting"
        try:
            shown = f"{state}: {self._status()}"
        except Exception as exc:  # noqa: BLE001 - a line for people costs no sign of life, no readiness and no drain
            if not self._failed:
                events.fault("internal", exc)
            self._failed = True
            return ()
        before, self._shown = self._shown, shown
        return () if shown == before else (f"STATUS={shown}",)

    def _send(self, *lines: str) -> None:
        lines = (*self._unsent, *lines)
        if self._socket is None or not lines:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
            self._unsent = ()
        except BlockingIOError:  # the manager is busy: the next message has these lines too
            self._unsent = tuple(line for line in dict.fromkeys(lines) if line in {"READY=1", "STOPPING=1"})
        except OSError as exc:
            if not self._warned:
                events.warning("systemd_away", reason=exc.strerror or "no such address")
            self._warned = True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


@asynccontextmanager
async def notifying(address: str, watchdog: float, status: Callable[[], str]) -> AsyncIterator[Systemd]:
    """Report to the service manager at `address` during the block; see `Systemd`."""
    systemd = Systemd(address, watchdog=watchdog, status=status)
    if systemd.present and watchdog:
        # The watchdog's SIGABRT then writes to stderr where the loop stood: files, lines and functions, no values.
        faulthandler.enable()
    reporting = asyncio.create_task(systemd.report(), name="systemd") if systemd.present else None
    try:
        yield systemd
    finally:
        if reporting is not None:
            reporting.cancel()
            await asyncio.wait((reporting,))
        systemd.close()
