"""Promises of errors between two processes: they arrive as they were raised."""

import pytest

from sidecar.core import errors
from sidecar.core.errors import (
    ContextExceeded,
    JobGoesOn,
    Limited,
    Overloaded,
    RateLimited,
    SidecarError,
    UpstreamError,
)
from sidecar.processes.failures import Failure, error_from, failure_of
from sidecar.processes.messages import decoder_of, encode


def kinds() -> list[type[SidecarError]]:
    found: list[type[SidecarError]] = [SidecarError]
    for kind in found:
        found += [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return found


def sent(error: SidecarError) -> SidecarError:
    """Return the error as the other process has it."""
    failure: Failure = decoder_of(Failure).decode(encode(failure_of(error)))
    return error_from(failure)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_kind_arrives(kind: type[SidecarError]) -> None:
    """Class, code, sentence and fields are the same."""
    error = kind()
    found = sent(error)
    assert type(found) is kind
    assert (found.code, str(found), vars(found)) == (error.code, str(error), vars(error))


@pytest.mark.parametrize(
    "error",
    [
        Overloaded(retry_after=3.5, cause="late"),
        Limited("A limit.", retry_after=60, limit="user.at_once"),
        RateLimited(status=429, retryable=True, retry_after=1.0, scope="capacity", vague=True),
        ContextExceeded(status=400, limit=8192, model="m"),
        JobGoesOn("abc"),
        UpstreamError("Words.", status=500, once=True, unsent=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_its_fields_arrive(error: SidecarError) -> None:
    """Whatever the other process decides by is there, also after another copy."""
    found = sent(error)
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))
    if isinstance(error, UpstreamError):
        assert isinstance(found, UpstreamError)
        assert vars(found.again()) == vars(error.again())


def test_an_unknown_class_is_the_known_one_of_its_code() -> None:
    """A route's own kind of error is logged under its code by a process that has no routes."""
    found = error_from(Failure("NoSuchThing", "not_found", "There is nothing.", {"param": "x", "retry_after": None}))
    assert type(found) is errors.NotFound
    assert (found.code, str(found)) == ("not_found", "There is nothing.")
