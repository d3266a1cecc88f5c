"""Log on stderr: one line for each event, as text or JSON.

A library's record appears as its unformatted message and the type of its exception, since the arguments may hold a
user's text.
"""

import asyncio
import io
import logging
import time
from collections.abc import Sequence
from functools import lru_cache
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
        return self.line(record.created, record.levelno, *_content(record))

    def line(self, created: float, level: int, name: str, fields: dict[str, Any]) -> str:
        """Return the line of an event without its end; `created` in seconds since 1970."""
        seconds = int(created)
        stamp = f"{_stamp(seconds)}.{int((created - seconds) * 1000):03d}Z"
        shown = {key: plain(value, _LONGEST) if isinstance(value, str) else value for key, value in fields.items()}
        word = logging.getLevelName(level)
        if self._json:
            return msgspec.json.encode({"time": stamp, "level": word.lower(), "event": name} | shown).decode()
        words = " ".join(f"{key}={_quoted(value)}" for key, value in shown.items())
        return f"{stamp} {word:<7} {name} {words}".rstrip()


@lru_cache(maxsize=4)
def _stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


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

    def write_lines(self, lines: Sequence[str]) -> None:
        """Write lines; count those that were dropped."""
        ...


class _Handler(logging.Handler):
    """Writes lines to a lossy stream; the first that fits after others were dropped is `lines_lost`.

    The events of one turn of the loop are written together at its end, warnings and faults at once.
    """

    def __init__(self, stream: Lossy, lines: _Lines) -> None:
        super().__init__()
        self._stream = stream
        self._format = lines
        self._waiting: list[str] = []
        self._due = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.append(f"{self.format(record)}\n")
            self._write()
        except Exception:  # noqa: BLE001 - a line that cannot be formatted costs the line, never the request
            self.handleError(record)

    def event(self, level: int, name: str, fields: dict[str, Any]) -> None:
        """Take an event of a level that is logged, as it is (core/events.py)."""
        try:
            line = f"{self._format.line(time.time(), level, name, fields)}\n"
        except Exception:  # noqa: BLE001 - as in emit
            return
        self.acquire()
        try:
            self._waiting.append(line)
            if level > logging.INFO or not (self._due or self._write_later()):
                self._write()
        finally:
            self.release()

    def flush(self) -> None:
        """Write what waits for the end of the loop's turn."""
        self.acquire()
        try:
            self._due = False
            self._write()
        finally:
            self.release()

    def _write_later(self) -> bool:
        """Have the lines written at the end of this turn of the loop; return False in a thread without one."""
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            return False
        self._due = True
        return True

    def _write(self) -> None:
        stream, lines = self._stream, self._waiting
        if not lines:
            return
        self._waiting = []
        if stream.lost:
            lost, stream.lost = stream.lost, 0
            lines.insert(0, f"{self._format.line(time.time(), logging.WARNING, 'lines_lost', {'lines': lost})}\n")
            stream.write_lines(lines[:1])
            if stream.lost:  # the notice was counted in the place of one of the lines
                stream.lost += lost + len(lines) - 2
                return
            del lines[0]
        stream.write_lines(lines)


def configure(stream: io.TextIOBase | TextIO | Lossy, *, level: str, as_json: bool) -> None:
    """Send events of `level` and above to `stream`, and records of other libraries from warning on."""
    lines = _Lines(as_json=as_json)
    handler = _Handler(stream, lines) if isinstance(stream, Lossy) else logging.StreamHandler(stream)
    handler.setFormatter(lines)
    # A full disk or a closed stderr costs the line, never the request.
    logging.raiseExceptions = False
    # No line has any of these, and they cost each record a tenth (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    ours = logging.getLogger(LOGGER.name)
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(_LEVELS[level])
