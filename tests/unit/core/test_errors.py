"""Sentences of errors where several providers have fields of a file in the place of variables."""

import pytest

from sidecar.core.errors import MAX_SENTENCE, UpstreamError, in_file


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("check OPENAI_API_KEY.", "check api_key_file of the provider eu."),
        ("check OPENAI_BASE_URL and OPENAI_MODEL.", "check base_url and model of the provider eu."),
        ("set OPENAI_MODEL, or --call", "set model of the provider eu, or --call"),
        ("raise MAX_TOKENS", "raise MAX_TOKENS"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEYS"),
    ],
)
def test_variables_become_fields(sentence: str, shown: str) -> None:
    """Only those that have a field; a setting of the whole sidecar keeps its name."""
    assert in_file(sentence, "eu") == shown


def test_a_long_sentence_stays_within_its_bound() -> None:
    """Names of providers are up to 40 characters long; callers' pages have room for a bounded sentence."""
    failure = UpstreamError("x" * 270 + " OPENAI_BASE_URL")
    failure.name_provider("p" * 40)
    assert len(str(failure)) == MAX_SENTENCE
