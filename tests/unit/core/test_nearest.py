"""The name that was probably meant: near enough to help, never a guess."""

import pytest

from sidecar.core.nearest import nearest

NAMES = ("OPENAI_BASE_URL", "SIDECAR_TOKEN", "PORT", "HOST", "LOG_LEVEL", "MAX_TOKENS")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
        ("openai-base-url", "OPENAI_BASE_URL"),
        ("OPENAI_BSAE_URL", "OPENAI_BASE_URL"),
        ("SIDECAR_TOKENS", "SIDECAR_TOKEN"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("port", "PORT"),
        ("MAX_TOKEN", "MAX_TOKENS"),
        ("POST", ""),
        ("COST", ""),
        ("HOSTNAME", ""),
        ("LOGNAME", ""),
        ("", ""),
        ("__", ""),
    ],
)
def test_a_slip_or_two_is_understood_and_another_word_is_not(written: str, meant: str) -> None:
    """Dashes, lines below and case count for nothing; short names must be right but for these."""
    assert nearest(written, NAMES) == meant


def test_a_longer_name_with_a_known_end_is_far_but_found() -> None:
    """Only where the name is surely for us."""
    assert nearest("OPENAI_LOG_LEVEL", NAMES) == ""
    assert nearest("OPENAI_LOG_LEVEL", NAMES, far=True) == "LOG_LEVEL"
    assert nearest("SOMETHING_ELSE", NAMES, far=True) == ""
    assert nearest("X" * 100_000, NAMES, far=True) == ""
