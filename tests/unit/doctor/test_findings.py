"""Promises of what the doctor says: no secret in it, and readable all the same."""

import pytest

from sidecar.doctor.findings import Finding, report


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("sk-0123456789", "it said: Keysk-0123456789!", "it said: Key(secret)!"),
        ("x", "texts go to x, by proxy", "texts go to (secret), by proxy"),
        ("none", "there is none; nonetheless", "there is (secret); nonetheless"),
        ("a.b", "acb a.b", "acb (secret)"),
    ],
)
def test_a_secret_is_cleared_and_the_rest_stays(secret: str, said: str, shown: str) -> None:
    """A key that is a mere filler (local servers take any) does not make holes in every word."""
    made = report([], [Finding("check", "note", said, said)], [secret])
    assert [(finding.what, finding.do) for finding in made.findings] == [(shown, shown)]
