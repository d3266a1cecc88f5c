"""A PostgreSQL cluster of the tests' own, whose databases are copied to and from templates. No promises here."""

import time
from pathlib import Path
from typing import Final

from tests.support.moodle.programs import Background, program, run

USER: Final = "moodle"
_SETTINGS: Final = (
    # A crash loses this cluster, which is thrown away in any case.
    *("--fsync=off", "--synchronous-commit=off", "--full-page-writes=off", "--wal-level=minimal"),
    *("--max-wal-senders=0", "--autovacuum=off", "--max-connections=200", "--shared-buffers=256MB"),
)
STAMPS: Final = ("cacherev",)
"""Columns of Moodle's that say when a cache was emptied."""
_MARK: Final = "-- table "
_READY_SECONDS: Final = 60.0


class Cluster:
    """One server, quick at the cost of what a crash would lose."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._server: Background | None = None

    def start(self) -> None:
        """Return when the server takes connections; its first start makes the cluster."""
        data = self._folder / "data"
        words = ("--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8")
        if not data.exists():
            run(program("initdb"), "--pgdata", data, *words, folder=self._folder)
        self._server = Background(
            *(program("postgres"), "-D", str(data), "-p", str(self.port), "-k", str(self._folder), *_SETTINGS),
            folder=self._folder,
            log=self._folder / "postgres.log",
        )
        end = time.monotonic() + _READY_SECONDS
        while not self._ready():
            assert time.monotonic() < end, (self._folder / "postgres.log").read_text()
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            self.query("SELECT 1")
        except AssertionError:
            return False
        return True

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    def query(self, text: str, *, database: str = "postgres") -> str:
        """Return what `psql` prints for statements: columns by tabs, without headers."""
        words = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t")
        where = ("--host", str(self._folder), "--port", str(self.port), "--username", USER, "--dbname", database)
        return run(program("psql"), *words, "--set=ON_ERROR_STOP=1", *where, folder=self._folder, text=text)

    def create(self, name: str, *, template: str = "template0") -> None:
        """Make a database anew, as a copy of `template`, which must be at rest."""
        self.query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.query(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")

    def tables(self, database: str) -> dict[str, set[str]]:
        """Return the rows of every table as JSON, without the columns in `STAMPS`."""
        names = self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database).split()
        row = f"to_jsonb(t) - '{{{','.join(STAMPS)}}}'::text[]"
        orders = "".join(f"\\echo '{_MARK}{name}'\nSELECT {row} FROM {name} t;\n" for name in sorted(names))
        parts = self.query(orders, database=database).split(_MARK)[1:]
        return {name: set(rows.splitlines()) for name, _, rows in (part.partition("\n") for part in parts)}
