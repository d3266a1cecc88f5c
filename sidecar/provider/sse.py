"""Parser of server-sent events from bytes in pieces of any size, free of I/O and JSON.

Source: the HTML standard, "Server-sent events", 9.2.6; ids and retry times are unused and dropped. Beyond it, a line
that is a bare JSON object is an event, since model servers write errors between events so.
Written out because the SDK's decoder has no bound on an event, and the client without the SDK streams too.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

MAX_EVENT_BYTES: Final = 16 * 2**20
_BOM: Final = b"\xef\xbb\xbf"


class Event(msgspec.Struct, frozen=True):
    """One event that has data."""

    data: bytes
    """The event's data lines, joined by line feeds."""
    name: bytes = b""
    """The event's type; empty where none was given."""


class EventTooLargeError(ValueError):
    """An event, or a single line, of more than `MAX_EVENT_BYTES`."""


class Events:
    """Incremental parser: takes bytes as they come and gives the events that are complete."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._line = bytearray()
        """Bytes of the line that is still incomplete."""
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._first = True
        self._after_cr = False
        self.signs = 0
        """Comments so far: with them a server holds the connection open."""

    @property
    def between(self) -> bool:
        """Return whether the next byte begins an event."""
        return not (self._line or self._data or self._name or self._after_cr)

    @property
    def held(self) -> int:
        """Bytes of the event that is still incomplete."""
        return self._size + len(self._line)

    def begin(self) -> None:
        """Record that the stream has begun: its first bytes were read elsewhere."""
        self._first = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that `chunk` completes; all must be taken before the next chunk.

        Raises `EventTooLargeError`.
        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")  # the second half of CR LF
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        for piece in chunk.splitlines(keepends=True):  # `bytes` splits at CR, LF and CR LF only
            bare = piece.rstrip(b"\r\n")
            self._line += bare
            if len(self._line) + self._size > self._limit:
                raise EventTooLargeError
            if len(bare) < len(piece):
                line = bytes(self._line)
                self._line.clear()
                if (event := self._take(line)) is not None:
                    yield event

    def finish(self) -> Event | None:
        """Return the event that the end of the body completes, where its blank line is missing."""
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            if (event := self._take(line)) is not None:
                return event
        return self._take(b"")

    def _take(self, line: bytes) -> Event | None:
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        if not line:
            event = Event(b"\n".join(self._data), self._name) if self._data else None
            self._data, self._size, self._name = [], 0, b""
            return event
        if line.startswith(b"{"):
            return Event(line)
        if line.startswith(b":"):
            self.signs += 1
            return None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"event":
            self._name = value
        return None
