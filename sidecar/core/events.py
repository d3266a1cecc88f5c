"""Events that every layer reports: a name and fields, never a key or a user's text.

`runtime/log.py` formats events and chooses their stream.
"""

import logging
import traceback
from typing import Any, Final

LOGGER: Final = logging.getLogger("sidecar")


def info(name: str, **fields: Any) -> None:
    LOGGER.info(name, extra={"fields": fields})


def warning(name: str, **fields: Any) -> None:
    LOGGER.warning(name, extra={"fields": fields})


def fault(name: str, exc: BaseException, **fields: Any) -> None:
    """Report a fault of the sidecar: the exception's type and places, since its message may quote a user's text."""
    LOGGER.error(name, extra={"fields": fields | {"exception": type(exc).__name__, "at": places(exc)}})


def places(exc: BaseException) -> str:
    """Return the last six frames that `exc` passed, innermost last, as file:line:function."""
    frames = traceback.extract_tb(exc.__traceback__)[-6:]
    return " ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames)
