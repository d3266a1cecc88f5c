"""Journal of a batch: the replies so far, in a file next to the target, which a later run finds after a crash.

Records are lines of JSON, only ever appended. A crash leaves at most one torn record, the last, which the next run
cuts off; a record that a full disk cut short is removed at once.

Written out instead of a database (sqlite3): a finished output, which is lines of JSON too, is read by the same code
as a journal.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec

from sidecar.batch.index import ID_BYTES, Index

_HEADER: Final = b'{"journal":"openai-moodle-sidecar batch","version":1}\n'
_LONGEST: Final = 2**30
PRIVATE: Final = 0o600
"""Permissions of new files: answers are about users' texts."""


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Reply to the request `id`; or, without `success`, a finished part of a long text under its hash."""

    id: str = ""
    success: bool | None = None
    data: str | None = None
    error: str | None = None
    code: str | None = None


class JournalError(Exception):
    """Failure to read or write the journal, or the output; the sentence names the cause."""


class _Reply(msgspec.Struct):
    line: int
    success: bool


_decode: Final = msgspec.json.Decoder(Record).decode
_decode_reply: Final = msgspec.json.Decoder(_Reply).decode
_encode: Final = msgspec.json.Encoder().encode


class Journal:
    """Records by id; the latest record of an id counts. `file` is read and appended to, `earlier` only read."""

    def __init__(self, file: BinaryIO, earlier: BinaryIO | None = None) -> None:
        self._file = file
        self._earlier = earlier
        self._index = Index()
        self._size = 0
        self._dirty = False

    @classmethod
    def temporary(cls) -> Self:
        """Open a journal that the kernel removes when the process ends; raise `JournalError` on failure."""
        try:
            return cls(tempfile.TemporaryFile())
        except OSError as exc:
            raise failed("the temporary folder", exc) from exc

    @classmethod
    def open(cls, path: Path, earlier: Path) -> Self:
        """Open and lock the journal at `path`; records of the file `earlier`, if it exists, count too.

        Raises `JournalError`.
        """
        try:
            file = _locked(path)
            # Only after locking: the previous holder of the lock may have written this file.
            before = earlier.open("rb") if earlier.exists() else None
        except OSError as exc:
            raise failed(path, exc) from exc
        journal = cls(file, before)
        try:
            journal._check(path)
        except OSError as exc:
            journal.close()
            raise failed(path, exc) from exc
        except JournalError:
            journal.close()
            raise
        return journal

    def __len__(self) -> int:
        return len(self._index)

    def _check(self, path: Path) -> None:
        """Write the header of a new file, or check that the file is a journal."""
        head = self._file.read(len(_HEADER))
        if head == _HEADER:
            return
        if not _HEADER.startswith(head):
            raise JournalError(f"{path} is there and no journal of a batch; move it away.")
        self._file.truncate(0)
        self._append(_HEADER)
        os.fsync(self._file.fileno())
        sync_folder(path)

    def load(self, *, failures: bool) -> int:
        """Index the finished replies, and return their number. `failures`: failed ones in `earlier` count too.

        Failures of an interrupted run are always retried; those of a complete run only with --retry-failed.
        """
        found = 0
        try:
            if self._earlier is not None:
                found += self._read(self._earlier, earlier=True, failures=failures)
            found += self._read(self._file, earlier=False, failures=False)
            self._size = self._file.seek(0, os.SEEK_END)
        except OSError as exc:
            raise failed("the journal", exc) from exc
        return found

    def _read(self, file: BinaryIO, *, earlier: bool, failures: bool) -> int:
        file.seek(0)
        place, found = 0, 0
        while raw := file.readline(_LONGEST):
            if not raw.endswith(b"\n") and not earlier:
                self._file.truncate(place)
                break
            record = _record(raw)
            if record is not None and (record.success is not False or failures):
                name = bytes.fromhex(record.id)
                found += record.success is not None and name not in self
                self._index.put(name, place << 1 | earlier)
            place += len(raw)
        return found

    def find(self, name: bytes) -> Record | None:
        """Return the record of `name`, None if there is none; raise `JournalError` if it cannot be read."""
        place = self._index.find(name)
        if place is None:
            return None
        file = self._earlier if place & 1 and self._earlier is not None else self._file
        try:
            file.seek(place >> 1)
            record = _record(file.readline(_LONGEST))
        except OSError as exc:
            raise failed("the journal", exc) from exc
        if record is None or record.id != name.hex():
            raise JournalError("The journal was changed by somebody else.")
        return record

    def __contains__(self, name: bytes) -> bool:
        return self._index.find(name) is not None

    def put(self, record: Record) -> None:
        """Append `record` whole, or raise `JournalError` and leave the journal unchanged."""
        place = self._append(_encode(record) + b"\n")
        self._index.put(bytes.fromhex(record.id), place << 1)

    def _append(self, data: bytes) -> int:
        place, number, rest = self._size, self._file.fileno(), memoryview(data)
        try:
            while rest:
                written = os.pwrite(number, rest, self._size)
                self._size += written
                rest = rest[written:]
        except OSError as exc:
            self._size = place
            with contextlib.suppress(OSError):
                os.ftruncate(number, place)
            raise failed("the journal", exc) from exc
        self._dirty = True
        return place

    def sync(self) -> None:
        """Flush appended records to disk, so that they survive a power cut. Blocks. Raises `JournalError`."""
        if not self._dirty:
            return
        self._dirty = False
        try:
            os.fdatasync(self._file.fileno())
        except OSError as exc:
            self._dirty = True
            raise failed("the journal", exc) from exc

    def close(self) -> None:
        """Close the files, and so release the lock."""
        self._file.close()
        if self._earlier is not None:
            self._earlier.close()


def _record(raw: bytes) -> Record | None:
    """Return the record on a line, None if the line holds none."""
    try:
        record = _decode(raw)
        right = len(bytes.fromhex(record.id)) == ID_BYTES
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return record if right else None


def is_reply(raw: bytes) -> bool:
    """Return True for a line that a batch wrote."""
    try:
        _decode_reply(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def numbered(line: int, record: Record) -> bytes:
    """Encode a reply as a line of the output."""
    return b'{"line":%d,' % line + _encode(record)[1:] + b"\n"


def sync_folder(path: Path) -> None:
    """Flush the folder of `path` to disk, so that the file's name survives a power cut."""
    number = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _locked(path: Path) -> BinaryIO:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE), "rb+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = path.stat()
        except BlockingIOError:
            file.close()
            raise JournalError(f"Another batch is at work on the same output (it holds {path}).") from None
        except FileNotFoundError:
            named = None
        locked = os.fstat(file.fileno())
        # Between opening and locking, the previous holder may have finished and removed the file.
        if named is not None and (named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino):
            # An earlier version made journals that others may read. A journal of another user stays as it is.
            with contextlib.suppress(PermissionError):
                os.fchmod(file.fileno(), PRIVATE)
            return file
        file.close()


def failed(what: str | Path, exc: OSError) -> JournalError:
    """Translate `exc` into a `JournalError`; `what` is the file concerned."""
    why = "the disk is full" if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else exc.strerror or str(exc)
    return JournalError(f"Replies cannot be kept in {what}: {why}.")
