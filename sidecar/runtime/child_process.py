"""Child processes: a signal to one, its end within a time, and that end in words."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process

from sidecar.core import events


def send(process: Process | None, number: signal.Signals) -> None:
    """Send a signal to the child, if one runs."""
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def ended(process: Process | None, seconds: float, *, child: str) -> None:
    """Wait for the end of a child that was told to stop, `seconds` at most; then kill it. The log calls it `child`."""
    if process is None:
        return
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        events.warning("child_killed", child=child, after=seconds)
        send(process, signal.SIGKILL)
        await process.wait()


def ending(code: int) -> str:
    """Return how a child ended, in words: its exit code, or its signal."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
