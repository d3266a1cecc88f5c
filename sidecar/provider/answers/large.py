"""Large answers, decoded as far as the sidecar looks at them: what it only passes on stays raw JSON.

16 MiB of small values are 600 MB of lists once decoded, by one call of C code that holds up every thread for a second.
"""

from typing import Any, Final

import msgspec

from sidecar.core import raw_json
from sidecar.core.errors import InvalidRequest
from sidecar.provider import codec

_DEPTH: Final = 7
"""Levels that are opened: the answer, its choices, a choice, its message, the tools, one of them, its function."""
_MOST_VALUES: Final = 32 * 1024
"""Values that are decoded of one answer: 2 MiB of memory, and the text."""
_WHOLE_BYTES: Final = 4 * 1024
"""Bytes up to which a value is decoded at any depth."""
_SPACE: Final = b" \t\r\n"
_NUL: Final = b"\\u0000"
"""Escape at which PHP's parser stops in a name; msgspec lets pass no half of a surrogate pair, raw or decoded."""


def strict(raw: bytes) -> Any:
    """Return the JSON value in `raw` as `codec.strict` does, but for long lists and objects, which may stay raw.

    Raises `ValueError` or `RecursionError` for everything else.
    """
    raw_json.check_utf8(raw)
    text = raw.strip(_SPACE)
    if text[:1] not in {b"{", b"["}:
        return codec.strict(text)
    return _Opener(clean=_NUL not in text).opened(msgspec.Raw(text), _DEPTH)


class _Opener:
    """Decoder of one answer, with the number of values that it may still decode."""

    def __init__(self, *, clean: bool) -> None:
        self._clean = clean
        self._left = _MOST_VALUES

    def opened(self, raw: msgspec.Raw, depth: int) -> Any:
        """Return the value; `depth` is the number of levels that may be opened."""
        kind, size = raw_json.kind_of(raw), raw_json.size_of(raw)
        if kind == '"' or size <= _WHOLE_BYTES:
            text = bytes(raw)
            values = 1 if kind == '"' else 1 + raw_json.values_in(text)
            if values <= self._left:
                self._left -= values
                return codec.strict(text)
        elif kind in "{[" and depth and self._left > 0:
            try:
                return self._object(raw, depth) if kind == "{" else self._array(raw, depth)
            except InvalidRequest:
                pass  # too many entries for anything that is looked at
        return self._passed(raw)

    def _object(self, raw: msgspec.Raw, depth: int) -> dict[str, Any]:
        fields = raw_json.fields_of(raw, min(self._left, raw_json.MOST_FIELDS))
        self._left -= len(fields)
        return {name: self.opened(value, depth - 1) for name, value in fields.items()}

    def _array(self, raw: msgspec.Raw, depth: int) -> Any:
        entries = raw_json.entries_of(raw)
        if len(entries) > raw_json.MOST_MESSAGES:  # of a list that is short in bytes
            return self._passed(raw)
        self._left -= len(entries)
        return [self.opened(entry, depth - 1) for entry in entries]

    def _passed(self, raw: msgspec.Raw) -> Any:
        """Return a value that is passed on: raw, unless a caller's parser would refuse what is in it."""
        return raw if self._clean or _NUL not in (text := bytes(raw)) else codec.strict(text)
