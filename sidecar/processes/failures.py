"""Errors as plain data between two processes: the class by name, the sentence, and fields of plain values."""

from functools import cache
from typing import Final

import msgspec

from sidecar.core.errors import SidecarError, error_of

Plain = bool | int | float | str | None
_PLAIN: Final = (bool, int, float, str, type(None))


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """One error of the tree in `core/errors.py`."""

    kind: str
    code: str
    sentence: str
    fields: dict[str, Plain]


def failure_of(error: SidecarError) -> Failure:
    """Return the error as data; a field of another kind than a plain value is left out."""
    fields = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN)}
    return Failure(type(error).__name__, error.code, str(error), fields)


def error_from(failure: Failure) -> SidecarError:
    """Return the error again. A class that this process does not know becomes the known one with the same code."""
    kind = _known(failure.kind)
    if kind is None or kind.code != failure.code:
        error = error_of(failure.code, failure.sentence)
    else:
        # The fields are those of a whole object: constructors that compute them must not run a second time.
        error = kind.__new__(kind)
        SidecarError.__init__(error, failure.sentence)
    vars(error).update(failure.fields)
    return error


@cache
def _known(name: str) -> type[SidecarError] | None:
    kinds: list[type[SidecarError]] = [SidecarError]
    for kind in kinds:  # grows level by level
        kinds += kind.__subclasses__()
    return next((kind for kind in kinds if kind.__name__ == name), None)
