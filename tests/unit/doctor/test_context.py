"""The context that a list of models names, beside CONTEXT_TOKENS."""

from typing import Any

import pytest

from sidecar.doctor.provider import context
from tests.support.http_sidecar import settings_of


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ({"data": [{"id": "m", "max_model_len": 4096}]}, "4096"),
        ({"data": [{"id": "x", "max_model_len": 1}, {"id": "m", "context_length": 8192}]}, "8192"),
        ({"data": [{"id": "m", "context_window": 131_072}]}, ""),
        ({"data": [{"id": "m", "max_model_len": "4096"}]}, ""),
        ({"data": [{"id": "m"}]}, ""),
        ({"data": None}, ""),
        ([], ""),
    ],
)
def test_a_context_below_the_setting_is_a_warning(listed: Any, words: str) -> None:
    """It says what to set; a list that names no size says nothing."""
    finding = context(listed, settings_of(OPENAI_MODEL="m"))
    assert (finding is not None) is bool(words)
    if finding is not None:
        assert finding.state == "warning"
        assert words in finding.what
        assert "CONTEXT_TOKENS" in finding.do
