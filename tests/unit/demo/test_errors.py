"""Promises of the demo provider's refusals: the wait that they name, and the key that they do not repeat."""

from email.utils import parsedate_to_datetime

import pytest

from sidecar.demo import errors
from sidecar.demo.options import Options


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (None, {"Retry-After": "2", "retry-after-ms": "1200"}),
        (3, {"Retry-After": "3", "retry-after-ms": "3000"}),
        (0.5, {"Retry-After": "1", "retry-after-ms": "500"}),
        ("off", {}),
    ],
)
def test_retry_after_is_whole_seconds_rounded_up(option: float | str | None, expected: dict[str, str]) -> None:
    """What the wait is, or what the option says, never less than that."""
    refusal = errors.Refusal(outcome="rpm", status=429, type="requests", message="wait", wait=1.2)
    assert errors.retry_after(refusal, Options(retry_after=option), 0) == expected


def test_retry_after_can_be_a_date() -> None:
    """As an HTTP-date it lies in the future by at least the wait."""
    refusal = errors.Refusal(outcome="slots", status=429, type="requests", message="wait", wait=1.0)
    written = errors.retry_after(refusal, Options(retry_after="date"), 1_700_000_000.3)["Retry-After"]
    assert written.endswith(" GMT")
    assert parsedate_to_datetime(written).timestamp() == 1_700_000_002


def test_a_used_up_quota_has_no_retry_after() -> None:
    """No wait helps, so none is named."""
    assert errors.retry_after(errors.no_quota(), Options(retry_after=5), 0) == {}


def test_a_refused_key_is_quoted_by_its_ends_only() -> None:
    """As the real one does; the middle of a key is in no answer."""
    key = "sk-abcdefghijklmnopqrstuvwxyz"
    assert key not in errors.bad_key(key).message
    assert "short" not in errors.bad_key("short").message
