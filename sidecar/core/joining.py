"""Long texts put together piece by piece: one join of 16 million characters holds up every thread for 40 ms.

Most of that time the kernel fills 64 MB with zeros. CPython's own functions to build a string take the memory first,
and fill it with each piece.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

_SHORT: Final = 2**20
"""Characters up to which a join takes 3 ms at most."""
_Copy = Callable[[int, int, str, int, int], int]
"""`PyUnicode_CopyCharacters`: to the string at an address, from a place on, characters of another one."""


def joined(pieces: Iterable[str]) -> str:
    """Return the pieces as one text."""
    parts = list(pieces)
    size = sum(map(len, parts))
    if size <= _SHORT or len(parts) == 1:
        return "".join(parts)
    new, copy = _functions()
    whole, at = new(size, max(map(_widest, parts))), 0
    parts.reverse()
    while parts:
        part = parts.pop()
        at += copy(id(whole), at, part, 0, len(part))  # no other reference to `whole` may exist until it is full
    return whole


def _widest(text: str) -> int:
    """Return a character's number that takes as many bytes as the widest one of the text."""
    if text.isascii():
        return 0x7F
    units = len(text.encode("utf-16-le", "surrogatepass"))
    if units > 2 * len(text):
        return 0x10FFFF
    return 0xFF if len(text.encode("latin-1", "ignore")) == len(text) else 0xFFFF


@cache
def _functions() -> tuple[Callable[[int, int], str], _Copy]:
    import ctypes  # noqa: PLC0415 - late: few processes meet such a text

    new = ctypes.pythonapi.PyUnicode_New
    new.argtypes, new.restype = (ctypes.c_ssize_t, ctypes.c_uint32), ctypes.py_object
    copy = ctypes.pythonapi.PyUnicode_CopyCharacters
    sizes = (ctypes.c_ssize_t, ctypes.c_ssize_t)
    copy.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.py_object, *sizes)
    copy.restype = ctypes.c_ssize_t
    return new, copy
