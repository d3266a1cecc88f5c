"""A file with the tokens of the day by counter, in SQLite: it outlives a kill, and two processes may add to it."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from sidecar.core.quotas import Away
from sidecar.runtime.sqlite_errors import said

_BUSY_SECONDS: Final = 2.0
"""Seconds that another process may hold the file."""
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS spent "
    "(day TEXT NOT NULL, counter TEXT NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (day, counter)) WITHOUT ROWID"
)
_ADD: Final = "INSERT INTO spent VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens"
_DROP: Final = "DELETE FROM spent WHERE day < ?"
_TOTAL: Final = "SELECT tokens FROM spent WHERE day = ? AND counter = ?"
MOST_LOADED: Final = 20_000
"""Counters that a start remembers, those with the most tokens first."""
Result = TypeVar("Result")


class DayFile:
    """The file at `path`, worked on in a thread of its own. Every method raises `Away`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # One thread, since a connection belongs to the thread that opened it and writes take turns anyway.
        self._thread = ThreadPoolExecutor(1, "day file")

    async def load(self, day: str) -> Mapping[str, int]:
        """Return the day's totals, and drop earlier days."""

        def work(file: sqlite3.Connection) -> dict[str, int]:
            file.execute(_DROP, (day,))
            query = "SELECT counter, tokens FROM spent WHERE day = ? ORDER BY tokens DESC LIMIT ?"
            return dict(file.execute(query, (day, MOST_LOADED)).fetchall())

        return await self._run(work)

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        """Add tokens, and drop earlier days; return the day's totals of these counters."""

        def work(file: sqlite3.Connection) -> dict[str, int]:
            file.execute(_DROP, (day,))  # a server that runs for months has no start that would
            file.executemany(_ADD, ((day, name, tokens) for name, tokens in spent.items()))
            return {name: file.execute(_TOTAL, (day, name)).fetchone()[0] for name in spent}

        return await self._run(work)

    async def aclose(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_file, work)
        except (sqlite3.Error, OSError) as exc:
            raise Away(f"{self._path}: {said(exc)}") from exc

    def _with_file(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Open the file for one transaction, so that a file that was removed is made anew."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as file:
            self._path.chmod(0o600)
            file.execute("BEGIN IMMEDIATE")
            file.execute(_TABLE)
            result = work(file)
            file.execute("COMMIT")
            return result
