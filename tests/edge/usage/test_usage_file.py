"""Promises of the usage file: sums of several processes, expiry, rights, and files that cannot be used."""

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.usage.counts import HOUR, Counts, Key
from sidecar.usage.database import APPLICATION, ERRORS, add
from sidecar.usage.report import Unreadable, report

NOW = 1_780_000_000 // HOUR * HOUR


def row(requests: int = 1, *, hour: int = NOW, code: str = "ok", user: str = "") -> dict[Key, Counts]:
    return {Key(hour, "chat", "ai", "", "", code, user): Counts(requests, 0, 0, requests, 10 * requests, requests)}


def requests_in(path: Path, *by: str) -> dict[tuple[str, ...], int]:
    return {key: sums[0] for key, sums in report([str(path)], by).rows}


def add_often(path: str, times: int) -> None:
    for _ in range(times):
        add(path, row(2), since=0, busy=20)


def test_several_processes_add_to_one_file(tmp_path: Path) -> None:
    """Server and workers count into the same rows, from the file's creation on."""
    path = tmp_path / "usage.db"
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=add_often, args=(str(path), 20)) for _ in range(2)]
    for other in others:
        other.start()
    add_often(str(path), 20)
    for other in others:
        other.join()
        assert other.exitcode == 0
    assert requests_in(path, "action", "code") == {("chat", "ok"): 120}


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the process' mask says; and no other file is left when nobody writes."""
    path = tmp_path / "usage.db"
    add(str(path), row(), since=0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_hours_of_long_ago_are_deleted_and_leave_no_trace(tmp_path: Path) -> None:
    """Their rows are overwritten, pseudonyms with them, and the file shrinks."""
    path = tmp_path / "usage.db"
    for number in range(100):
        add(str(path), row(hour=NOW - HOUR, user=f"pseudonym-{number:04}" * 10), since=0)
    size = path.stat().st_size
    add(str(path), row(hour=NOW, user="stays"), since=NOW)
    assert requests_in(path, "user") == {("stays",): 1}
    assert path.stat().st_size < size / 2
    assert b"pseudonym" not in path.read_bytes()


def held(path: Path) -> Callable[[], None]:
    """Hold the file's lock; return the release."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close


def test_a_write_is_all_or_nothing(tmp_path: Path) -> None:
    """In a full file, and in one that another process holds for too long."""
    path = tmp_path / "usage.db"
    add(str(path), row(), since=0)
    many = {key: sums for number in range(500) for key, sums in row(user=f"{number:050}").items()}
    with pytest.raises(sqlite3.OperationalError, match="full"):
        add(str(path), many, since=0, most_pages=4)
    release = held(path)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        add(str(path), row(), since=0, busy=0.01)
    release()
    assert requests_in(path) == {(): 1}
    add(str(path), many, since=0)
    assert requests_in(path) == {(): 501}


def test_a_reader_and_a_writer_do_not_disturb_each_other(tmp_path: Path) -> None:
    """A report while the server writes has what was there before."""
    path = tmp_path / "usage.db"
    add(str(path), row(), since=0)
    release = held(path)
    assert requests_in(path) == {(): 1}
    release()
    add(str(path), row(), since=0)
    assert requests_in(path) == {(): 2}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_may_read_a_service_users_file(tmp_path: Path) -> None:
    """What SQLite leaves beside the file is the owner's too, so that the service goes on writing."""
    path = tmp_path / "usage.db"
    add(str(path), row(), since=0)
    os.chown(path, 65_534, 65_534)
    assert requests_in(path) == {(): 1}
    assert {found.stat().st_uid for found in tmp_path.iterdir()} == {65_534}


def database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b"Moodle " * 1000), "not a database"),
        (lambda path: database(path, "CREATE TABLE mdl_user (id)"), "no usage file"),
        (
            lambda path: database(
                path, "CREATE TABLE t (a)", f"PRAGMA application_id = {APPLICATION}", "PRAGMA user_version = 2"
            ),
            "newer version",
        ),
    ],
    ids=["no database", "of another program", "of a newer version"],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    """A path that was mistyped costs no other program its data."""
    path = tmp_path / "usage.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ERRORS, match=reason):
        add(str(path), row(), since=NOW)
    with pytest.raises(Unreadable, match=reason):
        report([str(path)], ["day"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A pipe would hold the command up until somebody opens its other end."""
    path = tmp_path / "usage.db"
    make(path)
    with pytest.raises(ERRORS, match="no regular file"):
        add(str(path), row(), since=NOW)
    with pytest.raises(Unreadable, match="no regular file"):
        report([str(path)], [])
