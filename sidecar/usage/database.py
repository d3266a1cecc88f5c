"""The usage file: a small SQLite database that several processes add to. Every function blocks.

Each use opens the file anew, so that a file that was moved, deleted or full comes right by itself.
"""

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sidecar.usage.counts import NAMES, SUMS, Batch

APPLICATION: Final = 0x4D41_4955
"""Mark in the file's header, by which a file of another program is recognised."""
VERSION: Final = 1
BUSY_SECONDS: Final = 2.0
"""Wait for another process that is writing."""
MOST_PAGES: Final = 131_072
"""Pages of 4 KiB: the file grows to 512 MiB at most."""
ERRORS: Final = (sqlite3.Error, OSError)
"""Exceptions of a file that cannot be used."""

_KEY: Final = ", ".join(NAMES)
_ADD: Final = (
    f"INSERT INTO usage ({_KEY}, {', '.join(SUMS)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * len(NAMES + SUMS))}) "
    f"ON CONFLICT ({_KEY}) DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in SUMS)}"
)
_CREATE: Final = (
    f"CREATE TABLE usage (hour INTEGER NOT NULL, {', '.join(f'{name} TEXT NOT NULL' for name in NAMES[1:])}, "
    f"{', '.join(f'{name} INTEGER NOT NULL' for name in SUMS)}, PRIMARY KEY ({_KEY})) WITHOUT ROWID"
)


def add(path: str, batch: Batch, *, since: int, busy: float = BUSY_SECONDS, most_pages: int = MOST_PAGES) -> None:
    """Add all of `batch` to the file, or nothing, and delete hours before `since`. Raises one of `ERRORS`.

    A file that is missing is created, for its owner alone.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    _check_kind(path)
    with _connected(path, "rw", busy) as db:
        _prepare(db)
        db.execute(f"PRAGMA max_page_count = {most_pages}")
        db.execute("PRAGMA secure_delete = ON")
        with _transaction(db):
            expired = db.execute("DELETE FROM usage WHERE hour < ?", (since,)).rowcount
            db.executemany(_ADD, [key + counts for key, counts in batch.items()])
        if expired:
            db.executescript("PRAGMA incremental_vacuum")  # `execute` takes one step of it, which frees one page


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Open the file without a way to change its rows. Raises one of `ERRORS`."""
    _check_kind(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # SQLite's own error says less than the system's
    # Without a writer there is no WAL; where its files cannot be made either, the file is all there is.
    alone = not Path(f"{path}-wal").exists() and not os.access(Path(path).parent, os.W_OK)
    with _connected(path, "ro", BUSY_SECONDS, "&immutable=1" if alone else "") as db:
        _check(db)
        yield db


def _check_kind(path: str) -> None:
    """Raise `OSError` for what is no regular file: to open a pipe, for one, would wait for its other end."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "this is no regular file")


@contextmanager
def _connected(path: str, mode: str, busy: float, options: str = "") -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(path)}?mode={mode}{options}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=busy, isolation_level=None)) as db:
        yield db


def _prepare(db: sqlite3.Connection) -> None:
    if _is_empty(db):
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        with contextlib.suppress(sqlite3.OperationalError):  # another process is creating the file
            db.execute("PRAGMA journal_mode = WAL")
        with _transaction(db):
            if _is_empty(db):
                db.execute(_CREATE)
                db.execute(f"PRAGMA user_version = {VERSION}")
                db.execute(f"PRAGMA application_id = {APPLICATION}")
    _check(db)
    db.execute("PRAGMA synchronous = NORMAL")


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _check(db: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` for a file of another program or of a newer version."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise sqlite3.DatabaseError("this is no usage file")
    if db.execute("PRAGMA user_version").fetchone()[0] > VERSION:
        raise sqlite3.DatabaseError("a newer version of the sidecar wrote this file")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
