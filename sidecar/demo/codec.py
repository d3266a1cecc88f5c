"""OpenAI's shapes as bytes: completions, stream events, and the broken ones that `garbage` names. No I/O."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from sidecar.demo.answers import Answer
from sidecar.demo.options import Garbage

Shape = Literal["message", "delta"]

DONE: Final = b"data: [DONE]\n\n"
HUGE_BYTES: Final = 64 * 2**20
"""Bytes of the `huge` answer before it ends unfinished."""
BLOCK: Final = b"endless " * 8192
FINGERPRINT: Final = "fp_demo"
_PIECE: Final = re.compile(r"\S+\s*(?:\S+\s*){0,3}")
_WHOLE_BODY: Final[dict[str, tuple[str, bytes]]] = {
    "html": (
        "text/html",
        b"<!DOCTYPE html>\n<html><head><title>Gateway</title></head><body><h1>Just a moment</h1></body></html>\n",
    ),
    "text": ("text/plain", b"upstream says hello, but not in JSON\n"),
    "empty": ("application/json", b""),
}


class Reply(msgspec.Struct, frozen=True):
    """One answer with every value that its wire forms need."""

    id: str
    created: int
    """Seconds since 1970."""
    model: str
    prompt_tokens: int
    answer: Answer

    def usage(self) -> dict[str, int]:
        spent = self.answer.tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": spent,
            "total_tokens": self.prompt_tokens + spent,
        }


def completion(reply: Reply) -> dict[str, Any]:
    """Return a `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.answer.text, "refusal": None, "annotations": []}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.answer.finish_reason,
    }
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [choice],
        "usage": reply.usage(),
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def events(reply: Reply, *, usage: bool, garbage: Garbage | None = None) -> Iterator[bytes]:
    """Yield the server-sent events of a streamed answer: role, text in pieces, the finish, usage, `[DONE]`.

    The usage event comes only with `usage`; every earlier event then carries `"usage": null`, as OpenAI's do.
    """

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        head: dict[str, Any] = {
            "id": reply.id,
            "object": "chat.completion.chunk",
            "created": reply.created,
            "model": reply.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
            "choices": [choice],
        }
        return {**head, "usage": None} if usage else head

    yield event(chunk({"role": "assistant", "content": "", "refusal": None}))
    if garbage:
        yield b"data: " + garbled(garbage, chunk({"content": reply.answer.text}), "delta") + b"\n\n"
    else:
        for piece in pieces(reply.answer.text):
            yield event(chunk({"content": piece}))
    yield event(chunk({}, reply.answer.finish_reason))
    if usage:
        yield event({**chunk({}), "choices": [], "usage": reply.usage()})
    yield DONE


def event(content: Any) -> bytes:
    """Return one server-sent event."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def pieces(text: str) -> list[str]:
    """Split a text into deltas of a few words; the deltas joined are the text again."""
    found = _PIECE.findall(text)
    lost = len(text) - sum(map(len, found))  # white space before the first word
    return [text[:lost], *found] if lost else found


def whole_body(garbage: Garbage | None) -> tuple[str, bytes] | None:
    """Return content type and bytes of a kind of garbage that is no completion at all; None for other kinds."""
    return _WHOLE_BODY.get(garbage) if garbage else None


def garbled(garbage: Garbage, body: dict[str, Any], shape: Shape) -> bytes:
    """Return a completion, or one chunk of a stream, spoilt the way `garbage` names."""
    part = body["choices"][0][shape]
    text = part["content"]
    if garbage == "nocontent":
        part["content"] = None
    elif garbage == "nochoices":
        body["choices"] = []
    elif garbage == "refusal":
        part["content"], part["refusal"] = None, "I cannot help with that request."
    elif garbage == "multipart":
        middle = len(text) // 2
        part["content"] = [{"type": "text", "text": half} for half in (text[:middle], text[middle:])]
    elif garbage == "surrogate":
        part["content"] = f"{text} \ud83d"
    elif garbage == "nul":
        part["content"] = f"{text}\0"
    elif garbage == "wrongtypes":
        body["choices"] = "none today"
    # The standard encoder writes a lone surrogate as an escape; msgspec would refuse it.
    encoded = json.dumps([body] if garbage == "array" else body).encode()
    return encoded[: len(encoded) // 2] if garbage == "truncated" else encoded
