"""Failures that STATUS, FAIL and FAIL_FIRST order, each in the body that a real provider sends with that status.

Sources: OpenAI's and Groq's guides to error codes; OpenRouter's answers in public reports (litellm#5225, forall#76).
"""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sidecar.demo import voices
from sidecar.demo.call import Call
from sidecar.demo.errors import Refusal, failed

_AFFORDED: Final = 2666
"""Most tokens that the account can still pay for, where a call requests more."""
_ASSUMED_TOKENS: Final = 4096
"""Tokens that a call without a limit counts as requesting."""


def failure(status: int, call: Call) -> Refusal:
    """Return the failure that was ordered for this call."""
    refusal = voices.ordered(call.model, call.options, time.time()) if status == 429 else None
    if refusal is not None:
        return refusal
    refusal = failed(status, call.options)
    shape = _SHAPES.get(status)
    if status == 403 and "status" not in call.overrides:  # only one request's own 403 is about its text
        shape = None
    if shape is None:
        return refusal
    return msgspec.structs.replace(refusal, content=("application/json", msgspec.json.encode(shape(call))))


def _flagged(call: Call) -> dict[str, Any]:
    return {
        "error": {
            "message": f"{call.model[:80]} requires moderation on Demo. Your input was flagged for "
            '"violence/graphic". No credits were charged.',
            "code": 403,
            "metadata": {
                "reasons": ["violence/graphic"],
                "flagged_input": call.text[:100],
                "provider_name": "Demo",
                "model_slug": call.model[:80],
            },
        }
    }


def _credits(call: Call) -> dict[str, Any]:
    most = call.limit or _ASSUMED_TOKENS
    afforded = min(_AFFORDED, most // 2)
    message = (
        "This request requires more credits, or fewer max_tokens. You requested up to "
        f"{most} tokens, but can only afford {afforded}. To increase, visit https://openrouter.ai/settings/credits "
        "and upgrade to a paid account"
    )
    return {"error": {"message": message, "code": 402, "metadata": {"provider_name": None}}}


def _too_large(call: Call) -> dict[str, Any]:
    size = max(call.prompt_tokens, call.limit or 0)
    limit = call.options.tpm or size // 2
    message = (
        f"Request too large for model `{call.model[:80]}` on tokens per minute (TPM): Limit {limit}, Requested {size}, "
        "please reduce your message size and try again."
    )
    return {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}}


_SHAPES: Final[dict[int, Callable[[Call], dict[str, Any]]]] = {402: _credits, 403: _flagged, 413: _too_large}
