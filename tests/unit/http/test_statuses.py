"""Promises of the table from codes to HTTP statuses."""

from collections.abc import Iterator

from sidecar.core.errors import SidecarError
from sidecar.http.responses.statuses import STATUSES, status_of


def codes(error: type[SidecarError]) -> Iterator[str]:
    yield error.code
    for kind in error.__subclasses__():
        yield from codes(kind)


def test_every_code_has_its_row() -> None:
    """A failure added to the tree is not forgotten in the table of statuses."""
    assert set(codes(SidecarError)) <= set(STATUSES)


def test_strict_statuses_are_errors_and_lenient_ones_never_invent_one() -> None:
    """STRICT_STATUS turns 200 into an error status and changes no other."""
    for status in STATUSES.values():
        assert status.strict >= 400
        assert status.lenient in {200, status.strict}


def test_success_is_200() -> None:
    """In both modes."""
    assert status_of(None, strict=True) == status_of(None, strict=False) == 200


def test_an_unknown_code_is_a_fault_of_ours() -> None:
    """It never passes for a success where the true status is asked for."""
    assert status_of("never_heard_of", strict=True) == 500
