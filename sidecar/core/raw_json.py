"""JSON that passes through undecoded: the parts of a large body that the sidecar does not act on.

A `msgspec.Raw` is a view of the body and costs next to nothing, while 4 MiB of `[]` are 105 MB of lists once decoded.
Every function here is bounded in what it builds.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, overload

import msgspec

from sidecar.core.errors import InvalidRequest
from sidecar.core.json_walk import NotJSONError, Walk

VALUE_BYTES: Final = 64
"""Memory of one small decoded value (an empty list is 56 bytes, its place in a list 8), for estimates."""
MOST_FIELDS: Final = 1024
"""Fields of an object that stays raw, and of all messages a multiple; OpenAI's requests have some forty."""
MOST_MESSAGES: Final = 4096
"""Messages, and parts of a content, of a body that stays raw; OpenAI takes half as many."""
LONGEST_SCALAR: Final = 1024
"""Bytes of a number, string, boolean or null that is decoded in an object that stays raw."""
_TOO_MANY: Final = f"The request has an object of more than {MOST_FIELDS} fields."
_MOST_MESSAGE_FIELDS: Final = 4 * MOST_MESSAGES
_FEW_VALUES: Final = 256
_COUNTED_BYTES: Final = 256 * 1024
"""Bytes up to which a list's objects are counted beforehand, which takes a copy and saves a longer decoding."""
_STEP: Final = 64 * 1024


class _Name(str):
    """Name of a field: a type of its own, so that the decoder calls back at each and can be stopped."""

    __slots__ = ()


_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TooMuch(Exception):
    """A value takes more memory decoded than it may."""


def values_in(raw: bytes) -> int:
    """Return an upper bound of the values in a JSON text, in a fraction of the time that decoding takes."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def dense(raw: bytes, values: int) -> bool:
    """Return whether a JSON text of so many values is mostly small ones, which take many times its size decoded."""
    return values > _FEW_VALUES and values * VALUE_BYTES // 2 > len(raw)


def check_utf8(raw: bytes) -> None:
    """Raise `UnicodeDecodeError` unless `raw` is UTF-8, which msgspec leaves unchecked in what it does not decode.

    The text is decoded in steps and dropped: as a whole, one emoji would make it four times as large.
    """
    if raw.isascii():
        return
    view, at = memoryview(raw), 0
    while at < len(view):
        end = at + _STEP
        _, used = codecs.utf_8_decode(view[at:end], "strict", end >= len(view))
        at += used


def found(needle: bytes, text: bytes) -> bool:
    """Return whether `needle` is in the text, searched in steps, between which other threads run."""
    return any(text.find(needle, at, at + _STEP + len(needle) - 1) >= 0 for at in range(0, len(text), _STEP))


def fields_of(raw: bytes | msgspec.Raw, most: int = MOST_FIELDS) -> dict[str, msgspec.Raw]:
    """Return the fields of an object, undecoded.

    Raises `InvalidRequest` for more than `most`, and `msgspec.DecodeError` for everything but an object.
    """
    if type(raw) is bytes:
        if len(raw) > _COUNTED_BYTES:
            return _walked_fields(raw, most)
        if raw.count(b":") <= most:
            return _fields.decode(raw)
    count = 0

    def named(_kind: type, name: Any) -> _Name:
        nonlocal count
        if (count := count + 1) > most:
            raise InvalidRequest(_TOO_MANY)
        return _Name(name)

    decoder = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=named)
    return {str(name): value for name, value in decoder.decode(raw).items()}


def _walked_fields(raw: bytes, most: int) -> dict[str, msgspec.Raw]:
    """Return the fields of a long object, as `fields_of` does, in many short calls of C code."""
    walk, view, found = Walk(raw), memoryview(raw), dict[str, msgspec.Raw]()
    at = walk.past_space(0)
    if raw[at : at + 1] != b"{":
        return _fields.decode(raw)
    at, over = walk.first(at)
    while not over:
        if len(found) == most:
            raise InvalidRequest(_TOO_MANY)
        name, begin = walk.name(at)
        end = walk.end(begin)
        found[name] = msgspec.Raw(view[begin:end])
        at, over = walk.next(end, b"}")
    if walk.past_space(at) < len(raw):
        raise NotJSONError
    return found


class BoundedList:
    """Decoder of lists of at most `MOST_MESSAGES` objects of one type, or of objects that stay raw."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._plain = msgspec.json.Decoder(list[kind])
        self._counting: msgspec.json.Decoder[Any] | None = None

    def decode(self, raw: msgspec.Raw) -> list[Any]:
        """Return the entries.

        Raises `InvalidRequest` for too many, and `msgspec.DecodeError` for wrong ones.
        """
        if size_of(raw) <= _COUNTED_BYTES and bytes(raw).count(b"{") <= MOST_MESSAGES:
            return self._plain.decode(raw)
        try:
            found = self._bounded().decode(raw)
        except msgspec.ValidationError as exc:
            if "at most length" in str(exc):
                raise InvalidRequest(f"The request has a list of more than {MOST_MESSAGES} messages.") from exc
            raise
        return [entry for entry in msgspec.structs.astuple(found) if entry is not msgspec.UNSET]

    def _bounded(self) -> "msgspec.json.Decoder[Any]":
        """Return a decoder that refuses one entry more at its first byte, which a list builds whole; made in 50 ms."""
        if self._counting is None:
            fields = [(f"e{number}", self._kind | msgspec.UnsetType, msgspec.UNSET) for number in range(MOST_MESSAGES)]
            entries = msgspec.defstruct("_Entries", fields, array_like=True, forbid_unknown_fields=True)
            self._counting = msgspec.json.Decoder(entries)
        return self._counting


_raw_list: Final = BoundedList(msgspec.Raw)


def entries_of(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the entries of a list, undecoded.

    Raises `InvalidRequest` for more than `MOST_MESSAGES` in a long text, and `msgspec.DecodeError` for everything but
    a list.
    """
    return _raw_list.decode(raw)


def kind_of(raw: msgspec.Raw) -> str:
    """Return the first character of a value, which says its type."""
    return chr(memoryview(raw)[0])


def size_of(raw: msgspec.Raw) -> int:
    """Return the bytes of a value."""
    return len(memoryview(raw))


def scalar(raw: msgspec.Raw, longest: int = LONGEST_SCALAR) -> Any:
    """Return a number, string, boolean or null decoded, if it is short; any other value as it is."""
    return raw if size_of(raw) > longest or kind_of(raw) in "[{" else msgspec.json.decode(raw)


def opened(value: Any, most: int) -> Any:
    """Return a raw value decoded, and any other as it is.

    Raises `TooMuch` where the decoded value would take more than `most` bytes.
    """
    if type(value) is not msgspec.Raw:
        return value
    if size_of(value) > most:
        raise TooMuch
    raw = bytes(value)
    if len(raw) + VALUE_BYTES * values_in(raw) > most:
        raise TooMuch
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:  # such as 1e400, which is JSON all the same
        raise TooMuch from exc


class RawMessages(Sequence[Mapping[str, Any]]):
    """Messages of a large body: valid JSON, a list of objects, read anew from the raw text at each look."""

    __slots__ = ("_count", "raw")

    def __init__(self, raw: msgspec.Raw, count: int) -> None:
        """Hold a list of `count` messages, all of them objects."""
        self.raw = raw
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each message with its short values decoded; raise `TooMuch` for fields beyond all bounds."""
        left = _MOST_MESSAGE_FIELDS
        for entry in entries_of(self.raw):
            try:
                fields = fields_of(entry, left)
            except InvalidRequest as exc:
                raise TooMuch from exc
            left -= len(fields)
            yield {name: scalar(value) for name, value in fields.items()}

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        return list(self)[index]
