"""Events that every layer reports: a name and fields, never a key or a user's text.

`runtime/log.py` formats events and chooses their stream.
"""

import logging
from typing import Any, Final

LOGGER: Final = logging.getLogger("sidecar")


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
    handlers = LOGGER.handlers
    # A record costs more than its line: the one handler of runtime/log.py takes an event as it is.
    if len(handlers) == 1 and not LOGGER.propagate and (event := getattr(handlers[0], "event", None)) is not None:
        event(level, name, fields)
    else:
        LOGGER.log(level, name, extra={"fields": fields})


def places(exc: BaseException) -> str:
    """Return the last six frames that `exc` passed, innermost last, as file:line:function."""
    import traceback  # noqa: PLC0415 - late: most processes have no fault

    frames = traceback.extract_tb(exc.__traceback__)[-6:]
    return " ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames)
