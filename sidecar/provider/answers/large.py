"""Large answers, decoded as far as the sidecar looks at them: what it only passes on stays raw JSON.

16 MiB of small values are 600 MB of lists once decoded, by one call of C code that holds up every thread for a second.
"""

from typing import Any, Final

import msgspec

from sidecar.core import raw_json
from sidecar.core.errors import InvalidRequest
from sidecar.core.json_walk import NotJSONError, Walk
from sidecar.provider import codec
from sidecar.provider.answers.mending import mended, without_nul

_DEPTH: Final = 7
"""Levels that are opened: the answer, its choices, a choice, its message, the tools, one of them, its function."""
_MOST_VALUES: Final = 32 * 1024
"""Values that are decoded of one answer: 2 MiB of memory, and the text."""
_WHOLE_BYTES: Final = 4 * 1024
"""Bytes up to which a value is decoded at any depth."""
_NUL: Final = b"\\u0000"
"""Escape at which PHP's parser stops in a name; msgspec lets pass no half of a surrogate pair, raw or decoded."""
_BOM: Final = b"\xef\xbb\xbf"


def strict(raw: bytes) -> Any:
    """Return the JSON value in `raw` as `codec.strict` does, but for long lists and objects, which may stay raw.

    Raises `ValueError` or `RecursionError` for everything else.
    """
    value, rest = _Opener(raw, lenient=False).read()
    if rest:
        raise NotJSONError
    return value


def decode(raw: bytes) -> Any:
    """Return the JSON value in `raw` as `codec.decode` does, but that halves of pairs are U+FFFD, and some values raw.

    Raises as `strict`.
    """
    value, rest = _Opener(mended(raw.removeprefix(_BOM)), lenient=True).read()
    if rest and not rest.startswith(b"data:"):
        raise NotJSONError
    return value


class _Opener:
    """Decoder of one answer, with the number of values that it may still decode."""

    def __init__(self, text: bytes, *, lenient: bool) -> None:
        raw_json.check_utf8(text)
        self._walk = Walk(text)
        self._decode = codec.decode if lenient else codec.strict
        self._clean = not raw_json.found(_NUL, text)
        self._left = _MOST_VALUES

    def read(self) -> tuple[Any, bytes]:
        """Return the value, and the beginning of what follows it."""
        at = self._walk.past_space(0)
        if self._walk.text[at : at + 1] not in {b"{", b"[", b'"'}:
            return self._decode(self._walk.text), b""
        value, end = self._value(at, _DEPTH)
        end = self._walk.past_space(end)
        return value, self._walk.text[end : end + 16]

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        """Return the value at a place of the text, and its end; `depth` is the number of levels that may be opened."""
        text = self._walk.text
        if end := self._walk.short_end(at):
            return self._opened(msgspec.Raw(text[at:end]), depth), end
        kind = text[at : at + 1]
        if kind == b'"':
            self._left -= 1
            return self._walk.string(at)
        if depth and self._left > 0:
            value, end = self._object(at, depth - 1) if kind == b"{" else self._array(at, depth - 1)
            if end:
                return value, end
        end = self._walk.end(at)  # too many entries for anything that is looked at
        return self._passed(msgspec.Raw(text[at:end])), end

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        """Return a long object and its end, which is 0 where it has too many fields."""
        fields: dict[str, Any] = {}
        left = self._left
        at, over = self._walk.first(at)
        while not over:
            if len(fields) >= min(left, raw_json.MOST_FIELDS):
                self._left = left
                return fields, 0
            name, at = self._walk.name(at)
            fields[name], at = self._value(at, depth)
            self._left -= 1
            at, over = self._walk.next(at, b"}")
        return fields, at

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        """Return a long list and its end, which is 0 where it has too many entries."""
        entries: list[Any] = []
        left = self._left
        at, over = self._walk.first(at)
        while not over:
            # Entries of many values, such as probabilities, must leave the budget to what follows the list.
            if self._left <= 0 or len(entries) >= min(left, raw_json.MOST_MESSAGES):
                self._left = left
                return entries, 0
            entry, at = self._value(at, depth)
            entries.append(entry)
            self._left -= 1
            at, over = self._walk.next(at, b"]")
        return entries, at

    def _opened(self, raw: msgspec.Raw, depth: int) -> Any:
        """Return a short value."""
        kind, size = raw_json.kind_of(raw), raw_json.size_of(raw)
        if kind == '"' or size <= _WHOLE_BYTES:
            text = bytes(raw)
            values = 1 if kind == '"' else 1 + raw_json.values_in(text)
            if values <= self._left:
                self._left -= values
                return self._decode(text)
        elif kind in "{[" and depth and self._left > 0:
            try:
                return self._short_object(raw, depth - 1) if kind == "{" else self._short_array(raw, depth - 1)
            except InvalidRequest:
                pass  # too many entries for anything that is looked at
        return self._passed(raw)

    def _short_object(self, raw: msgspec.Raw, depth: int) -> dict[str, Any]:
        fields = raw_json.fields_of(raw, min(self._left, raw_json.MOST_FIELDS))
        self._left -= len(fields)
        return {name: self._opened(value, depth) for name, value in fields.items()}

    def _short_array(self, raw: msgspec.Raw, depth: int) -> Any:
        entries = raw_json.entries_of(raw)
        if len(entries) > raw_json.MOST_MESSAGES:  # of a list that is short in bytes
            return self._passed(raw)
        self._left -= len(entries)
        return [self._opened(entry, depth) for entry in entries]

    def _passed(self, raw: msgspec.Raw) -> Any:
        """Return a value that is passed on: raw, without what a caller's parser would refuse in it."""
        return raw if self._clean else msgspec.Raw(without_nul(bytes(raw)))
