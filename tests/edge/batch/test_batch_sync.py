"""Promises of the journal's syncs: the last is over before the journal is closed, and a failed batch has one too."""

import asyncio
import os
import threading

import pytest

from sidecar.batch import runner
from sidecar.core.errors import UpstreamAuth
from tests.support.batch_folder import PATIENCE, Folder, Provider


class Disk:
    """A disk that syncs once `gate` is set. `syncs` has the answers in the journal at each sync that is over."""

    def __init__(self, folder: Folder) -> None:
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.syncs: list[int] = []
        self.failures: list[OSError] = []
        self._folder = folder
        self._sync = os.fdatasync

    def fdatasync(self, number: int) -> None:
        self.waiting.set()
        self.gate.wait(PATIENCE)
        try:
            self._sync(number)
        except OSError as exc:
            self.failures.append(exc)
            raise
        part = self._folder.part
        self.syncs.append(part.read_bytes().count(b"About") if part.exists() else -1)


@pytest.fixture
def disk(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Disk:
    slow = Disk(folder)
    monkeypatch.setattr(os, "fdatasync", slow.fdatasync)
    return slow


async def test_a_sync_in_progress_is_over_before_the_journal_is_closed(
    folder: Folder, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk holds up the end of the batch; the sync never meets another file under its descriptor."""
    monkeypatch.setattr(runner, "_SYNC_SECONDS", 0.0)
    folder.questions("a", "b")
    running = asyncio.create_task(folder.batch(Provider()))
    await asyncio.to_thread(disk.waiting.wait, PATIENCE)
    await asyncio.wait((running,), timeout=0.2)
    assert not running.done()
    disk.gate.set()
    assert await running == 0
    assert not disk.failures
    assert -1 not in disk.syncs


async def test_a_batch_that_gives_up_syncs_what_it_has(folder: Folder, disk: Disk) -> None:
    """What was paid for survives a power cut right after the end."""
    folder.questions(*"abcdef")
    disk.gate.set()
    refusing = Provider(lambda question: None if question == "a" else UpstreamAuth(status=401))
    assert await folder.batch(refusing, CONCURRENCY="1") == 1
    assert disk.syncs[-1:] == [1]
