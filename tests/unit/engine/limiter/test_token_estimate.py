"""Estimated tokens: of raw calls as of others, so that no body escapes a limit by its size."""

import json

import msgspec
import pytest

from sidecar.core.ports import Call
from sidecar.core.raw_json import RawMessages
from sidecar.engine.limiter.token_estimate import tokens_of

PARTS = [{"type": "text", "text": "a" * 400}, {"type": "image_url", "image_url": {"url": "d" * 4000}}]


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([{"role": "user", "content": "a" * 4000}], 1000),
        ([{"role": "user", "content": "ü" * 4000}, {"role": "assistant"}], 1000),
        ([{"role": "user", "content": PARTS}], 100),
    ],
)
def test_a_raw_call_has_as_many_tokens_as_a_decoded_one(messages: list[dict[str, object]], tokens: int) -> None:
    """Texts count, pictures do not."""
    raw = RawMessages(msgspec.Raw(json.dumps(messages).encode()), len(messages))
    assert tokens_of(Call(messages=messages, max_tokens=1), 0) == tokens
    assert tokens_of(Call(messages=raw, max_tokens=1), 0) == tokens


def test_what_is_too_much_to_be_opened_counts_by_its_bytes() -> None:
    """Rather too many tokens than none."""
    messages = [{"role": "user", "content": [[]] * 400_000}]
    raw = RawMessages(msgspec.Raw(json.dumps(messages).encode()), 1)
    assert tokens_of(Call(messages=raw, max_tokens=1), 0) > 300_000
