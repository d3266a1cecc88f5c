"""A child of the embedded jobs that cannot say why it ends: the server says it."""

import asyncio
import logging
import signal

from sidecar.core.events import LOGGER
from sidecar.jobs.embedded.supervisor import Child


class FirstLine(logging.Handler):
    """Handler that holds the first line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = self.text or str(record.__dict__)
        self.came.set()


async def test_a_full_disk_is_told_before_the_child_ends_in_silence() -> None:
    """Valkey ends with the code 1, and its log has no room for the reason."""
    child, line = Child("valkey", ("/bin/false",), env={}, dies_by=signal.SIGTERM, log="/dev/full"), FirstLine()
    LOGGER.addHandler(line)
    try:
        running = asyncio.create_task(child.keep(), name="child")
        async with asyncio.timeout(10):
            await line.came.wait()
        child.stop()
        await running
    finally:
        LOGGER.removeHandler(line)
    assert "child_ended" in line.text
    assert "No space left on device" in line.text
