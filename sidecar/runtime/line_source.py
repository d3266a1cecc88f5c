"""Lines of a file of any size, which can be read again from the start: one line is held at a time.

Standard input, and any other input that can be read only once, is first spooled to an unnamed temporary file, which
the kernel removes when the process ends.
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
    """Non-blank line."""

    number: int
    """The line's number from 1; blank lines count."""
    text: bytes
    """The line without its line end; empty for a line that is too long."""
    fault: TooLarge | None = None

    def request(self) -> Request:
        """Return the request on this line; raise the `SidecarError` that names the fault."""
        if self.fault is not None:
            raise self.fault
        return parse_request(self.text)


class Source:
    """Lines of `file`, each of `longest` bytes at most. Bytes appended to the file later do not count."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._size = file.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[Line]:
        """Yield the lines from the start; only one such iterator may run at a time. Raises `OSError`."""
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
        """Read to the end of the line that began with `raw`, and return the number of bytes read."""
        skipped = 0
        while not raw.endswith(b"\n") and skipped < left and (raw := self._file.readline(min(left - skipped, _CHUNK))):
            skipped += len(raw)
        return skipped

    def faults(self, most: int) -> tuple[int, int, list[str]]:
        """Count valid requests and wrong lines; describe the first `most` wrong lines."""
        right, wrong, descriptions = 0, 0, []
        for line in self.lines():
            try:
                line.request()
                right += 1
            except SidecarError as exc:
                wrong += 1
                if wrong <= most:
                    descriptions.append(f"line {line.number}: {exc}")
        return right, wrong, descriptions


@contextmanager
def opened(path: str, longest: int) -> Iterator[Source]:
    """Open the file at `path`, or standard input for `-`; raise `OSError` if it cannot be read or spooled."""
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
