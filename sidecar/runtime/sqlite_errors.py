"""Reasons of errors of SQLite files, for operators, with the remedy where the file itself is damaged."""

from typing import Final

_DAMAGED: Final = frozenset({11, 26})
"""SQLITE_CORRUPT and SQLITE_NOTADB (sqlite.org/rescode.html), by number: only two places import the library."""
_PRIMARY: Final = 0xFF
"""Bits of an extended error code that are the primary one."""


def said(error: Exception) -> str:
    """Return the reason of an `OSError` or of SQLite's own error, as one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # Errors that this package raises have no code.
    damaged = getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED
    return f"{error}; move it away, and a new one is begun" if damaged else str(error)
