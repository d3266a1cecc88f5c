"""JSON of megabytes walked in steps: where a value ends, whether it is JSON, and what a long text says.

One call of C code over 16 MiB holds up every thread for 10 to 50 ms; each call here sees some 100 KiB. msgspec alone
decides what is JSON: where to cut is guessed, and a cut at a wrong place is none, since what is before it is no JSON.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.core.late_pattern import late_pattern

STEP: Final = 128 * 1024
"""Bytes that one call of C code sees: 0.3 ms."""
_DENSE_BYTES: Final = 1024
"""Bytes of an entry up to which entries are checked many at a time."""
_MOST_SINGLE: Final = 4096
"""Entries that are checked one by one, at most, before the next attempt at many."""
_TRIES: Final = 6
_DEEPEST: Final = 16
"""Levels that are walked in steps: each looks at what is inside once more."""
_SPACES: Final = b" \t\n\r"
_SPACE: Final = late_pattern(rb"[ \t\n\r]*")
_SCALAR: Final = late_pattern(rb"[^ \t\n\r,\]}]+")
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_IN_STRING: Final = late_pattern(
    rb'(?s:(?:[^"\\]{1,128}+|%s|\\u[0-9a-fA-F]{4}|\\[^u]){0,1024}+)' % _PAIR,
)
"""The next bytes of a string, about `STEP` at most, without a part of an escape or of a pair at their end."""
_PLACE: Final = late_pattern(r"\(byte (\d+)\)$")
_ENDS: Final = {b"[": b"]", b"{": b"}"}
_raw: Final = msgspec.json.Decoder(msgspec.Raw)
_any: Final = msgspec.json.Decoder()


class NotJSONError(msgspec.DecodeError):
    """Failure of a text that is no JSON at some place."""

    def __init__(self) -> None:
        super().__init__("no JSON")


class Walk:
    """One text in UTF-8. Every method raises `ValueError` or `RecursionError` for what is no JSON."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._view = memoryview(text)

    def past_space(self, at: int) -> int:
        """Return the next place without white space."""
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def short_end(self, at: int) -> int:
        """Return the end of the value that begins at `at`; 0 for a list, object or string of more than `STEP` bytes."""
        text = self.text
        if text[at : at + 1] not in {b'"', b"[", b"{"}:
            scalar = _SCALAR.match(text, at)
            _raw.decode(scalar[0] if scalar else b"")
            return scalar.end() if scalar else at
        end = min(at + STEP, len(text))
        try:
            _raw.decode(self._view[at:end])
        except msgspec.DecodeError as exc:
            words, place = str(exc), _PLACE.search(str(exc))
            # A number that the step cuts is told as a wrong one at the step's end.
            if end < len(text) and ("truncated" in words or (place and int(place[1]) >= end - at)):
                return 0
            if place is None or "trailing characters" not in words:
                raise
            return self._end_at(at, at + int(place[1]) - 1)
        return at + len(text[at:end].rstrip(_SPACES))

    def _end_at(self, at: int, end: int) -> int:
        """Return the end of the value that begins at `at`, where a message says that something follows it at `end`."""
        _raw.decode(self._view[at:end])
        return at + len(self.text[at:end].rstrip(_SPACES))

    def _whole_end(self, at: int) -> int:
        """Return the end of the value that begins at `at`, found by one call."""
        try:
            _raw.decode(self._view[at:])
        except msgspec.DecodeError as exc:
            place = _PLACE.search(str(exc))
            if place is None or "trailing characters" not in str(exc):
                raise
            return self._end_at(at, at + int(place[1]) - 1)
        return at + len(self.text[at:].rstrip(_SPACES))

    def string(self, at: int) -> tuple[str, int]:
        """Return the string that begins at `at`, and its end."""
        end, pieces = at, list[str]()
        for begin, end in self._pieces(at + 1):
            pieces.append(_any.decode(b'"%s"' % self.text[begin:end]))
        return "".join(pieces), end + 1

    def _past_string(self, at: int) -> int:
        """Return the end of the string that begins at `at`, which is checked and not built."""
        end = at
        for begin, end in self._pieces(at + 1):
            _raw.decode(b'"%s"' % self.text[begin:end])
        return end + 1

    def _pieces(self, at: int) -> Iterator[tuple[int, int]]:
        """Yield where each piece of a string begins and ends; the last one ends at the closing quote."""
        while True:
            end = self._piece_end(at)
            yield at, end
            if self.text[end : end + 1] == b'"':
                return
            at = end

    def _piece_end(self, at: int) -> int:
        """Return the end of the next bytes of a string: its closing quote, or a place between two characters."""
        text, limit = self.text, min(at + STEP, len(self.text))
        if text.find(b"\\", at, limit) < 0:
            end = text.find(b'"', at, limit)
            if end >= 0:
                return end
            end = limit
        else:
            found = _IN_STRING.match(text, at)
            end = found.end() if found else at
        if text[end : end + 1] == b'"':
            return end
        while end > at and text[end : end + 1] and text[end] & 0xC0 == 0x80:
            end -= 1
        if end <= at:
            raise NotJSONError
        return end

    def name(self, at: int) -> tuple[str, int]:
        """Return the name of a field at `at`, and the place of its value."""
        if self.text[at : at + 1] != b'"':
            raise NotJSONError
        name, at = self.string(at)
        return name, self._past(b":", at)

    def _past(self, sign: bytes, at: int) -> int:
        at = self.past_space(at)
        if self.text[at : at + 1] != sign:
            raise NotJSONError
        return self.past_space(at + 1)

    def first(self, at: int) -> tuple[int, bool]:
        """Return the place of the first entry of the container at `at`, or else the container's end and True."""
        end, at = _ENDS[self.text[at : at + 1]], self.past_space(at + 1)
        return (at + 1, True) if self.text[at : at + 1] == end else (at, False)

    def next(self, at: int, end: bytes) -> tuple[int, bool]:
        """Return the place of the entry behind the one that ended at `at`, or else the container's end and True."""
        at = self.past_space(at)
        if self.text[at : at + 1] == end:
            return at + 1, True
        return self._past(b",", at), False

    def end(self, at: int, depth: int = 0) -> int:
        """Return the end of the value that begins at `at`, whatever its length; `depth`: containers around it."""
        if end := self.short_end(at):
            return end
        if self.text[at : at + 1] == b'"':
            return self._past_string(at)
        return self._whole_end(at) if depth >= _DEEPEST else _Container(self, at, depth).end()


class _Container:
    """A long list or object, whose end is looked for."""

    def __init__(self, walk: Walk, at: int, depth: int) -> None:
        self._walk = walk
        self._depth = depth
        self._at = at
        self._opening = walk.text[at : at + 1]
        self._closing = _ENDS[self._opening]
        self._pause = self._single = 0

    def end(self) -> int:
        at, over = self._walk.first(self._at)
        while not over:
            before, at = at, self._entry_end(at)
            self._single -= 1
            if self._single < 0 and at - before <= _DENSE_BYTES:
                at, over = self._past_many(before, at)
            else:
                at, over = self._walk.next(at, self._closing)
        return at

    def _entry_end(self, at: int) -> int:
        if self._opening == b"{":
            at = self._walk.name(at)[1]
        return self._walk.end(at, self._depth + 1)

    def _past_many(self, begin: int, end: int) -> tuple[int, bool]:
        """Return what `next` does, if possible for the last of many entries; the first is from `begin` to `end`."""
        text, limit = self._walk.text, begin + STEP
        found, over = self._walk.next(end, self._closing)
        if over:
            return found, over
        # Another entry most likely begins as the second one does.
        for around in (slice(max(begin, end - 4), found + 8), slice(end - 1, found + 1)):
            sign, place = text[around], limit
            for _ in range(_TRIES):
                place = text.rfind(sign, found, place)
                if place < 0:
                    break
                cut = place + end - around.start
                if self._is_whole(begin, cut):
                    self._pause = 0
                    return self._walk.next(cut, self._closing)
        self._pause = self._single = min(2 * self._pause + 64, _MOST_SINGLE)
        return found, False

    def _is_whole(self, begin: int, cut: int) -> bool:
        """Return whether the text from one entry's beginning up to `cut` is entries and nothing more."""
        try:
            _raw.decode(b"%s%s%s" % (self._opening, self._walk.text[begin:cut], self._closing))
        except msgspec.DecodeError:
            return False
        return True
