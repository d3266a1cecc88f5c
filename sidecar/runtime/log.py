"""Log on stderr: one line for each event, as text or JSON.

A library's record appears as its unformatted message and the type of its exception, since the arguments may hold a
user's text.
"""

import io
import logging
import time
from typing import Any, Final, Protocol, TextIO, runtime_checkable

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
    """Return a value as text: anything but text as in JSON, so that both formats say true, null and the like."""
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return f'"{text}"' if " " in text or not text else text


@runtime_checkable
class Lossy(Protocol):
    """A stream that drops a line rather than wait."""

    lost: int
    """Lines dropped since the last `lines_lost` line."""

    def write_line(self, text: str) -> bool:
        """Write one line; return False, and count, where it was dropped."""
        ...


class _Handler(logging.Handler):
    """Writes lines to a lossy stream; the first that fits after others were dropped is `lines_lost`."""

    def __init__(self, stream: Lossy) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        stream = self._stream
        try:
            if stream.lost:
                lost, stream.lost = stream.lost, 0
                if not stream.write_line(f"{self.format(_lines_lost(lost))}\n"):
                    stream.lost += lost  # the notice was counted in the record's place
                    return
            stream.write_line(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - a line that cannot be formatted costs the line, never the request
            self.handleError(record)


def _lines_lost(count: int) -> logging.LogRecord:
    fields = {"fields": {"lines": count}}
    return LOGGER.makeRecord(LOGGER.name, logging.WARNING, "", 0, "lines_lost", (), None, extra=fields)


def configure(stream: io.TextIOBase | TextIO | Lossy, *, level: str, as_json: bool) -> None:
    """Send events of `level` and above to `stream`, and records of other libraries from warning on."""
    handler = _Handler(stream) if isinstance(stream, Lossy) else logging.StreamHandler(stream)
    handler.setFormatter(_Lines(as_json=as_json))
    # A full disk or a closed stderr costs the line, never the request.
    logging.raiseExceptions = False
    # No line has any of these, and they cost each record a tenth (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(_LEVELS[level])
