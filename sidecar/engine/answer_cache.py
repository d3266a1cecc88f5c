"""The answer cache: finished answers by key, texts and bodies under one bound in bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

MOST_READERS: Final = 4096
"""Users remembered for one answer; with more the answer is dropped, as if its time were over."""
READER_BYTES: Final = 64
"""Memory taken by one remembered user, about."""
_ENTRY_BYTES: Final = 512
"""Memory taken by an entry beside its answer, about."""

Result = TypeVar("Result", bound=str | bytes)


class Key(bytes, Generic[Result]):
    """A hash of all that determines an answer, typed by the answer: `Key[str]` for a text, `Key[bytes]` for a body.

    One cache and one single flight serve both types because no key is ever made for both (see `Keys`).
    """


class _Entry(Generic[Result]):
    __slots__ = ("answer", "expires", "readers", "size")

    def __init__(self, answer: Result, expires: float, size: int) -> None:
        self.answer = answer
        self.expires = expires
        self.size = size
        self.readers: set[int] = set()
        """Users who had the answer, by hash: names may be long."""


class AnswerCache:
    """Finished answers: at most `size` bytes, each for `ttl` seconds, the least recently used dropped first.

    Each answer that comes makes room of those before it whose time is over.
    """

    def __init__(self, *, ttl: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = size
        self.held = 0
        """Bytes of all entries now."""
        self._ttl = ttl
        self._clock = clock
        # Any, since each entry has the type of its own key; `get` and `put` are where that is held.
        self._entries: OrderedDict[bytes, _Entry[Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key[Result], reader: str) -> Result | None:
        """Return the answer under `key`; None without one, or where `reader` had it already and wants another."""
        entry: _Entry[Result] | None = self._entries.get(key)
        if entry is None or hash(reader) in entry.readers:
            return None
        if entry.expires <= self._clock() or len(entry.readers) >= MOST_READERS:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def had(self, key: bytes, reader: str) -> bool:
        """Return whether `reader` has the answer under `key`."""
        entry = self._entries.get(key)
        return entry is not None and entry.expires > self._clock() and hash(reader) in entry.readers

    def put(self, key: Key[Result], answer: Result) -> None:
        """Store `answer` in the place of an older one under `key`."""
        self._drop(key)
        size = size_of(answer) + _ENTRY_BYTES
        if self._ttl <= 0 or size > self.size:
            return
        now = self._clock()
        while self._entries:
            oldest, entry = next(iter(self._entries.items()))
            if self.held + size <= self.size and entry.expires > now:
                break
            self._drop(oldest)
        self._entries[key] = _Entry(answer, now + self._ttl, size)
        self.held += size

    def read(self, key: bytes, reader: str) -> None:
        """Remember that `reader` has the answer under `key`."""
        entry = self._entries.get(key)
        if not reader or entry is None or hash(reader) in entry.readers:
            return
        entry.readers.add(hash(reader))
        entry.size += READER_BYTES
        self.held += READER_BYTES

    def _drop(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self.held -= entry.size


def size_of(answer: str | bytes) -> int:
    """Return the bytes of an answer; a text counts as its UTF-8, in which a character has four at most."""
    return len(answer) if isinstance(answer, bytes) else len(answer.encode("utf-8", "surrogatepass"))
