"""Splitter of byte chunks into lines of bounded length. Pure: callers do the reading."""

import codecs

from sidecar.core.errors import TooLarge


class LineSplitter:
    """Takes chunks and returns lines one by one; holds one chunk and one line of `limit` bytes at most.

    A line ends with LF or CRLF, the last one also with the end of input. Blank lines are skipped, and so is a
    byte order mark alone on its line. A line longer than `limit` bytes is dropped while it arrives.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        """Bytes of the buffer known to hold no line end."""
        self._dropping = False
        """True while the rest of a line that is too long is dropped."""
        self._ended = False

    @property
    def held(self) -> int:
        """Bytes in the buffer, of lines complete or not."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> None:
        self._buffer += chunk

    def end(self) -> None:
        """Mark the end of input: no more chunks follow."""
        self._ended = True

    def take(self) -> bytes | None:
        """Return the next line without its line end, or None if more chunks are needed (after the end: none is left).

        Raises `TooLarge` once for each line that is too long; the next call continues behind that line.
        """
        while (line := self._cut()) is not None:
            if len(line) > self._limit:
                raise self._too_large()
            if line.removeprefix(codecs.BOM_UTF8).strip():
                return line
        return None

    def _cut(self) -> bytes | None:
        """Return the next line, blank or not; of a line that is too long at least the beginning."""
        found = self._buffer.find(b"\n", self._searched)
        if self._dropping:
            if found < 0:
                self._buffer.clear()
                if not self._ended:
                    return None
            else:
                del self._buffer[: found + 1]
            self._dropping = False
            raise self._too_large()
        if found >= 0:
            return self._pop(found, found + 1)
        if self._ended:
            return self._pop(len(self._buffer), len(self._buffer)) if self._buffer else None
        if len(self._buffer) > self._limit + 1:  # one more byte, which may be the CR of a line end
            self._dropping = True
            self._buffer.clear()
        self._searched = len(self._buffer)
        return None

    def _pop(self, stop: int, following: int) -> bytes:
        if stop and self._buffer[stop - 1] == 0x0D:
            stop -= 1
        with memoryview(self._buffer) as view:
            line = bytes(view[:stop])
        del self._buffer[:following]
        self._searched = 0
        return line

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The line is longer than {self._limit} bytes.")
