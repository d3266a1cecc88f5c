"""Log on stderr: one line for each event, as text or JSON.

A library's record appears as its unformatted message and the type of its exception, since the arguments may hold a
user's text.
"""

import contextlib
import io
import logging
import os
import time
from typing import Any, Final, TextIO

import msgspec

from sidecar.core.errors import plain
from sidecar.core.events import LOGGER, places

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LONGEST: Final = 500
"""Characters of one field's value."""


class _Lines(logging.Formatter):
    """Formats each event as one line: time, level, name, fields."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._json = as_json

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        name, fields = _content(record)
        shown = {key: plain(value, _LONGEST) if isinstance(value, str) else value for key, value in fields.items()}
        if self._json:
            line = {"time": stamp, "level": record.levelname.lower(), "event": name} | shown
            return msgspec.json.encode(line).decode()
        words = " ".join(f"{key}={_quoted(value)}" for key, value in shown.items())
        return f"{stamp} {record.levelname:<7} {name} {words}".rstrip()


def _content(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    if fields is not None:
        return str(record.msg), fields
    # Only the first line counts: asyncio puts an exception's message into the lines that follow.
    fields = {"logger": record.name, "message": str(record.msg).partition("\n")[0]}
    if record.exc_info and record.exc_info[1] is not None:
        fields |= {"exception": type(record.exc_info[1]).__name__, "at": places(record.exc_info[1])}
    return "library", fields


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


class Unbuffered(io.TextIOBase):
    """Standard error without a buffer: a line that a full disk refuses is lost, and later writes do not fail by it."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            data = text.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(2, data) :]
        return len(text)


def configure(stream: TextIO | io.TextIOBase, *, level: str, as_json: bool) -> None:
    """Send events of `level` and above to `stream`, and records of other libraries from warning on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Lines(as_json=as_json))
    # A full disk or a closed stderr costs the line, never the request.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(_LEVELS[level])
