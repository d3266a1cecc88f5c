"""Token counts in the forms in which providers send them."""

from collections.abc import Mapping
from typing import Any

from sidecar.core.ports import Usage


def note_usage(body: Mapping[str, Any], usage: Usage) -> None:
    """Take the counts that an answer or an event names into `usage`.

    A stream may name them in its last event, or in each event up to that point, or under `x_groq`.
    """
    found = body.get("usage")
    if not isinstance(found, dict) and isinstance(groq := body.get("x_groq"), dict):
        found = groq.get("usage")
    if isinstance(found, dict):
        usage.prompt_tokens = _count(found.get("prompt_tokens")) or usage.prompt_tokens
        usage.completion_tokens = _count(found.get("completion_tokens")) or usage.completion_tokens


def _count(value: object) -> int:
    """Return a token count as gateways send it; 0, for unknown, where the value is no number from 0 to below 2**53."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < 2**53 else 0
