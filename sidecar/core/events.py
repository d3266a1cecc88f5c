"""How every floor reports an event: a name and fields, never a key or a user's text.

How events look, and where they go, is telemetry's business.
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
    """A fault of ours: the exception's type and places, not its message, which may quote a user's text."""
    LOGGER.error(name, extra={"fields": fields | {"exception": type(exc).__name__, "at": places(exc)}})


def places(exc: BaseException) -> str:
    """Where `exc` passed, innermost last: file:line:function, without a word of its message."""
    frames = traceback.extract_tb(exc.__traceback__)[-6:]
    return " ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames)
