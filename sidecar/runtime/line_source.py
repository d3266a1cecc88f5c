"""A file of lines that can be read again from the start, however large: one line is held at a time.

Standard input, and whatever else can be read only once, is spooled to a nameless temporary file first, which is gone
with the process however that ends. What a line means is its reader's business.
"""

import codecs
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Final, NamedTuple

from sidecar.core.contract import Request, parse_request
from sidecar.core.errors import SidecarError, TooLarge

STDIN: Final = "-"
_CHUNK: Final = 1024**2


class Line(NamedTuple):
    """A line that is not blank."""

    number: int
    """From 1, blank lines counted."""
    text: bytes
    """Without its end; of a line that is too long nothing."""
    fault: TooLarge | None = None

    def request(self) -> Request:
        """The request on it; raises the `SidecarError` that says what is wrong."""
        if self.fault is not None:
            raise self.fault
        return parse_request(self.text)


class Source:
    """The lines of `file`, each of `longest` bytes at most. What is appended to it later does not belong to them."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._size = file.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[Line]:
        """From the start; one such iterator at a time. Raises `OSError`."""
        self._file.seek(0)
        left, number = self._size, 0
        while left and (raw := self._file.readline(min(left, self._longest + 2))):
            left -= len(raw)
            number += 1
            text = raw.removesuffix(b"\n").removesuffix(b"\r")
            if len(text) > self._longest:
                left -= self._skip(raw, left)
                yield Line(number, b"", TooLarge(f"The line is longer than {self._longest} bytes."))
            elif text.removeprefix(codecs.BOM_UTF8).strip():
                yield Line(number, text)

    def _skip(self, raw: bytes, left: int) -> int:
        """Read on behind the end of a line that began with `raw`; how many bytes that were."""
        skipped = 0
        while not raw.endswith(b"\n") and skipped < left and (raw := self._file.readline(min(left - skipped, _CHUNK))):
            skipped += len(raw)
        return skipped

    def faults(self, most: int) -> tuple[int, int, list[str]]:
        """Requests that are right, lines that are not, and what is wrong with the first `most` of those."""
        right, wrong, said = 0, 0, []
        for line in self.lines():
            try:
                line.request()
                right += 1
            except SidecarError as exc:
                wrong += 1
                if wrong <= most:
                    said.append(f"line {line.number}: {exc}")
        return right, wrong, said


@contextmanager
def opened(path: str, longest: int) -> Iterator[Source]:
    """The file at `path`, standard input for `-`; raises `OSError` where it cannot be read, or spooled."""
    with ExitStack() as stack:
        given = stack.enter_context(open(0 if path == STDIN else path, "rb", closefd=path != STDIN))
        if path == STDIN or not stat.S_ISREG(os.fstat(given.fileno()).st_mode):
            spool = stack.enter_context(tempfile.TemporaryFile())
            while chunk := given.read1(_CHUNK):
                spool.write(chunk)
            spool.flush()
            yield Source(spool, longest)
        else:
            yield Source(given, longest)
