"""Output file of a batch: checked before the run, and written whole or not at all."""

import asyncio
import contextlib
import os
import stat
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Final

from sidecar.batch.journal import PRIVATE, Journal, Record, failed, is_reply, numbered, sync_folder
from sidecar.batch.ordered_output import outcome, wrong
from sidecar.batch.runner import STOPPED, Halted, id_of
from sidecar.core.errors import ConfigError, SidecarError, plain
from sidecar.engine.keys import Keys
from sidecar.runtime.line_source import STDIN, Line, Source

STDOUT: Final = "-"
PART: Final = ".part"
"""The suffix of the journal's name."""
_NEW: Final = ".new"


def opened_stream(source: str, target: str) -> int:
    """Return a descriptor for replies as they come, if `target` is standard output or no regular file; else -1.

    Raises `ConfigError` if `target` cannot take the replies to `source`.
    """
    if target == STDOUT:
        return os.dup(1)
    shown, path = plain(target, 200), Path(target)
    try:
        if path.is_dir():
            raise ConfigError([f"{shown}: is a folder"])
        if not path.resolve().parent.is_dir():
            raise ConfigError([f"{shown}: there is no such folder"])
        if not path.exists():
            return -1
        if not path.is_file():
            return os.open(target, os.O_WRONLY)
        if source != STDIN and Path(source).exists() and path.samefile(source):
            raise ConfigError([f"{shown}: is what is to be read"])
        with path.open("rb") as file:
            first = file.readline(2**26)
    except OSError as exc:
        raise ConfigError([f"{shown}: {exc.strerror or exc}"]) from exc
    if first and not is_reply(first):
        raise ConfigError([f"{shown}: is there and holds something else than a batch's replies; remove it first"])
    return -1


async def write(target: Path, journal: Journal, source: Source, keys: Keys, stop: asyncio.Event) -> Counter[str]:
    """Write the reply to each line of `source` to `target`; return the number of replies by outcome.

    Raises `JournalError` if a write fails, `Halted` if a reply is missing or `stop` is set.
    """
    new = target.with_name(target.name + _NEW)
    counts: Counter[str] = Counter()
    try:
        with _created(new, target) as file:
            for count, line in enumerate(source.lines()):
                if not count % 64:
                    await asyncio.sleep(0)
                record = _reply(line, journal, keys, stop)
                counts[outcome(record)] += 1
                file.write(numbered(line.number, record))
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
        sync_folder(target)
    except BaseException as exc:
        with contextlib.suppress(OSError):
            new.unlink()
        if isinstance(exc, OSError):
            raise failed(target, exc) from exc
        raise
    return counts


def _created(new: Path, target: Path) -> BinaryIO:
    """Create the file at `new`, for its owner alone, or with the permissions of the file that it will replace."""
    file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb")
    os.fchmod(file.fileno(), PRIVATE)
    with contextlib.suppress(FileNotFoundError):
        os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
    return file


def _reply(line: Line, journal: Journal, keys: Keys, stop: asyncio.Event) -> Record:
    if stop.is_set():
        raise Halted(STOPPED)
    try:
        record = journal.find(id_of(keys, line.request()))
    except SidecarError as exc:
        return wrong(exc)
    if record is None:
        raise Halted("The requests changed while they were worked on.")
    return record
