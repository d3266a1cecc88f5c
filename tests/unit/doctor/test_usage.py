"""Promises of the doctor about USAGE_FILE: what is in it, or why nothing can be."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.doctor.usage import check
from sidecar.usage.counts import Counts, Key
from sidecar.usage.database import add
from tests.support.http_sidecar import settings_of


def counted(path: Path) -> None:
    add(str(path), {Key(1_780_000_000, "chat", "ai", "", "", "ok", ""): Counts(7, 0, 0, 7, 0, 0)}, since=0)


def names_in(folder: Path) -> list[str]:
    """Names of the files in a folder, less SQLite's own beside a file that was read."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm")))


@pytest.mark.parametrize(
    ("name", "make", "state", "what"),
    [
        ("usage.db", counted, "ok", r"7 requests counted in .*, the last day: 2026-05-2\d$"),
        ("usage.db", lambda _: None, "note", "there is no .* yet"),
        ("none/usage.db", lambda _: None, "failed", "there is no folder .*/none$"),
        ("usage.db", lambda path: path.write_text("Moodle" * 1000), "failed", "not a database"),
    ],
)
async def test_it_says_what_is_there(
    tmp_path: Path, name: str, make: Callable[[Path], None], state: str, what: str
) -> None:
    """Each trouble with its cure, and nothing is created."""
    path = tmp_path / name
    make(path)
    before = names_in(tmp_path)
    [finding] = await check(settings_of(USAGE_FILE=str(path)))
    assert finding.state == state
    assert re.search(what, finding.what)
    assert bool(finding.do) is (state == "failed")
    assert names_in(tmp_path) == before
