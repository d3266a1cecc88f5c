"""Promises of the usage writer: off the loop, one line in the log for an outage, and numbers that resume."""

import asyncio
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.observations import RequestEnd
from sidecar.usage.database import add
from sidecar.usage.recorder import Recorder
from sidecar.usage.report import report
from sidecar.usage.writer import Writer, recording
from tests.edge.usage.test_usage_file import held

END = RequestEnd(request_id="r", route="ai", action="chat", code="ok")


def add_at_once(path: str, batch: Any, *, since: int) -> None:
    add(path, batch, since=since, busy=0.01)


def requests_in(path: Path) -> int:
    return report([str(path)], []).total[0]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = [record.msg for record in caplog.records if record.name == "sidecar"]
    caplog.clear()
    return names


async def test_the_end_of_the_block_writes_what_is_left(tmp_path: Path) -> None:
    """A stop loses nothing, and the next start goes on from there."""
    path = tmp_path / "usage.db"
    for _ in range(2):
        async with recording(str(path), Recorder(), days=1) as recorder:
            recorder.request_ended(END)
    assert requests_in(path) == 2


async def test_an_outage_is_logged_once_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is locked, a folder that is missing: requests are served and counted, and written later."""
    caplog.set_level(logging.INFO, "sidecar")
    path, recorder = tmp_path / "state" / "usage.db", Recorder()
    writer = Writer(str(path), recorder, days=1, add=add_at_once)
    for _ in range(3):
        recorder.request_ended(END)
        await writer.write()
    assert said(caplog) == ["usage_failed"]
    path.parent.mkdir()
    await writer.write()
    assert (said(caplog), requests_in(path)) == (["usage_back"], 3)
    release = held(path)
    for _ in range(3):
        recorder.request_ended(END)
        await writer.write()
    assert said(caplog) == ["usage_failed"]
    release()
    recorder.request_ended(END)
    await writer.write()
    assert (said(caplog), requests_in(path)) == (["usage_back"], 7)


async def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Moved away while the server runs, it is made anew, and nothing is lost."""
    path, recorder = tmp_path / "usage.db", Recorder()
    path.write_bytes(b"no database at all" * 300)
    writer = Writer(str(path), recorder, days=1, add=add_at_once)
    recorder.request_ended(END)
    await writer.write()
    [warning] = [record for record in caplog.records if record.msg == "usage_failed"]
    assert "file is not a database; move it away, and a new one is begun" in str(warning.__dict__)
    path.rename(tmp_path / "damaged")
    await writer.write()
    assert requests_in(path) == 1


async def test_what_is_lost_at_the_end_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The end does not wait for a folder to come."""
    caplog.set_level(logging.INFO, "sidecar")
    async with recording(str(tmp_path / "none" / "usage.db"), Recorder(), days=1) as recorder:
        recorder.request_ended(END)
    assert said(caplog) == ["usage_failed", "usage_lost"]


async def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    """An administrator deletes it to forget, and the service goes on counting."""
    path, recorder = tmp_path / "usage.db", Recorder()
    writer = Writer(str(path), recorder, days=1)
    for _ in range(2):
        recorder.request_ended(END)
        await writer.write()
        assert requests_in(path) == 1
        path.unlink()


async def test_the_loop_does_not_wait_for_the_disk() -> None:
    """Requests are served while a write takes its time."""
    slow, writing, recorder = threading.Event(), threading.Event(), Recorder()

    def stuck(*_: object, since: int) -> None:
        writing.set()
        slow.wait()
        raise sqlite3.OperationalError(str(since))

    writer = Writer("/nowhere", recorder, days=1, add=stuck)
    recorder.request_ended(END)
    task = asyncio.create_task(writer.write())
    while not writing.is_set():  # noqa: ASYNC110 - a thread begins
        await asyncio.sleep(0)
    recorder.request_ended(END)
    assert not task.done()
    slow.set()
    await task
    [counts] = recorder.take().values()
    assert counts.requests == 2


async def test_nothing_is_written_where_nothing_happened(tmp_path: Path) -> None:
    """A site at rest leaves the disk at rest, once an hour's deletion apart."""
    path = tmp_path / "usage.db"
    writer = Writer(str(path), Recorder(), days=1)
    await writer.write()
    path.unlink()
    await writer.write()
    assert not path.exists()
