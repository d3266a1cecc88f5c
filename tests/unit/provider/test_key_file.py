"""The key's file: how often it is looked at, and who waits."""

import asyncio
import os
from pathlib import Path

import pytest

from sidecar.provider.key_file import KeyFile
from tests.support.clocks import Clock


async def test_a_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """However many calls come: a look costs a thread."""
    file, clock = tmp_path / "key", Clock()
    file.write_text("one")
    key = KeyFile("one", str(file), clock=clock)
    file.write_text("two-two")
    assert {await key.key() for _ in range(100)} == {"one"}
    clock.now += 1
    assert await key.key() == "two-two"
    file.write_text("three")
    assert await key.key() == "two-two"
    assert key.secrets == ("two-two", "one")


async def test_a_file_system_that_hangs_stops_one_call_at_most(tmp_path: Path) -> None:
    """Others go on with the key as it was, and no second thread starts."""
    path, clock = tmp_path / "key", Clock()
    os.mkfifo(path)
    key = KeyFile("one", str(path), clock=clock)
    clock.now += 1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await key.key()
    looking = key._looking
    assert looking is not None
    clock.now += 9
    assert {await key.key() for _ in range(10)} == {"one"}
    assert key._looking is looking
    await asyncio.to_thread(path.write_text, "two")  # opens the other end, which lets the look go on
    await looking
    assert await key.key() == "two"
