"""Events that every layer reports: a name and fields, never a key or a user's text.

`runtime/log.py` formats events and chooses their stream.
"""

import logging
import traceback
from typing import Any, Final

LOGGER: Final = logging.getLogger("sidecar")


class EventHandler(logging.Handler):
    """Handler that takes an event as it is: making a record of it costs more than its line."""

    def event(self, level: int, name: str, fields: dict[str, Any]) -> None:
        """Take an event of a level that is logged."""
        raise NotImplementedError


def info(name: str, **fields: Any) -> None:
    _report(logging.INFO, name, fields)


def warning(name: str, **fields: Any) -> None:
    _report(logging.WARNING, name, fields)


def fault(name: str, exc: BaseException, **fields: Any) -> None:
    """Report a fault of the sidecar: the exception's type and places, since its message may quote a user's text."""
    _report(logging.ERROR, name, fields | {"exception": type(exc).__name__, "at": places(exc)})


def _report(level: int, name: str, fields: dict[str, Any]) -> None:
    if not LOGGER.isEnabledFor(level):
        return
    match LOGGER.handlers:
        case [EventHandler() as handler] if not LOGGER.propagate:
            handler.event(level, name, fields)
        case _:
            LOGGER.log(level, name, extra={"fields": fields})


def places(exc: BaseException) -> str:
    """Return the last six frames that `exc` passed, innermost last, as file:line:function."""
    frames = traceback.extract_tb(exc.__traceback__)[-6:]
    return " ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames)
