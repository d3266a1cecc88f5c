"""Chat completions in OpenAI's shape, with every field that callers store, of a type that they accept.

Moodle writes model, id, system_fingerprint, finish_reason and the counts into columns (CONTRACT has their sizes) and
throws for one that does not fit, after the call was paid for. Other fields pass as the provider sent them.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.core.contract import sendable
from sidecar.core.errors import UpstreamError
from sidecar.core.long_text import encodable, replaced
from sidecar.core.ports import Completion
from sidecar.core.raw_json import found

_LONGEST_MODEL: Final = 50
_LONGEST_NAME: Final = 128
_NO_REASON: Final = re.compile("[^A-Za-z_-]+")

_NUL: Final = b"\\u0000"

_encoder: Final = msgspec.json.Encoder()


class BodyShape(msgspec.Struct, frozen=True):
    """Shape of one response's body: `encode` with these fields."""

    model: str
    fallback_id: str
    spaced: bool

    def __call__(self, completion: Completion) -> bytes:
        return encode(completion, model=self.model, fallback_id=self.fallback_id, spaced=self.spaced)


def encode(completion: Completion, *, model: str, fallback_id: str, spaced: bool) -> bytes:
    """Return the body of the response; `model` and `fallback_id` fill in for fields that the provider left out.

    `spaced` puts a space after each `<` of the text. Raises `UpstreamError` for a completion that is nested too deeply.
    """
    body = shaped(completion, model=model, fallback_id=fallback_id, spaced=spaced)
    try:
        try:
            raw = _encoder.encode(encodable(body))
        except UnicodeEncodeError:
            raw = _NUL
        # PHP's json_decode fails on half a surrogate pair and on a name that begins with NUL, at any depth.
        return _encoder.encode(encodable(_clean(body))) if found(_NUL, raw) else raw
    except RecursionError as exc:
        raise UpstreamError("The AI provider's answer is nested too deeply.", status=200) from exc


def shaped(completion: Completion, *, model: str, fallback_id: str, spaced: bool) -> dict[str, Any]:
    """Return the completion's body with the fields that callers rely on."""
    body = completion.body
    created = body.get("created")
    return {
        **body,
        "id": (_name(body.get("id")) or fallback_id)[:_LONGEST_NAME],
        "object": "chat.completion",
        "created": created if type(created) is int else int(time.time()),
        "model": (_name(completion.model) or _name(model))[:_LONGEST_MODEL],
        "choices": [_choice(choice, number, spaced=spaced) for number, choice in enumerate(_choices(completion))],
        "usage": _usage(completion),
        "system_fingerprint": _name(body.get("system_fingerprint")),
    }


def _choices(completion: Completion) -> list[dict[str, Any]]:
    choices = completion.body.get("choices")
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return [choice for choice in found if isinstance(choice.get("message"), dict)] or [
        {"message": {"content": completion.text}, "finish_reason": completion.finish_reason}
    ]


def _choice(choice: dict[str, Any], number: int, *, spaced: bool) -> dict[str, Any]:
    message = choice["message"]
    called = message.get("tool_calls") or message.get("function_call")
    content = _content(message, spaced=spaced)
    reason = choice.get("finish_reason")
    reason = _NO_REASON.sub("", reason)[:_LONGEST_NAME] if isinstance(reason, str) else ""
    return {
        "index": number,
        **choice,
        "message": {"role": "assistant", **message, "content": content or None if called else content},
        "finish_reason": reason or ("tool_calls" if called else "stop"),
    }


def _content(message: Mapping[str, Any], *, spaced: bool) -> str:
    """Return the message's text, or else the refusal's: otherwise Moodle would store a blank answer."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str) or not content:
        refusal = message.get("refusal")
        content = refusal if isinstance(refusal, str) else ""
    content = sendable(content)
    return replaced(content, "<", "< ") if spaced else content


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt, answer = completion.prompt_tokens, completion.completion_tokens
    total = usage.get("total_tokens")
    return {
        **usage,
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": total if type(total) is int and 0 <= total < 2**53 else prompt + answer,
    }


def _name(value: object) -> str:
    return sendable(value).strip()[:_LONGEST_NAME] if isinstance(value, str) else ""


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return sendable(value)
    if isinstance(value, dict):
        return {sendable(name): _clean(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
