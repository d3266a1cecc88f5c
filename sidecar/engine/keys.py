"""What may be shared, and under which key: a hash of all that determines an answer, and of nothing that does not.

Whoever asks is no part of a key; chats have none.
"""

from typing import Final

import msgspec

from sidecar.core.contract import Action, Request
from sidecar.core.ports import Call, Prompt, Purpose
from sidecar.engine.actions import Limits
from sidecar.engine.actions.prompts import PROMPT_VERSION

_REQUESTS: Final[frozenset[Action]] = frozenset({"summarize", "analyze"})
_PROMPTS: Final[frozenset[Purpose]] = frozenset({"context", "part"})
"""Calls shared by themselves: a context inside chats, and a part of long texts. The others belong to one request."""

_encoder: Final = msgspec.msgpack.Encoder()


class Keys:
    """Keys under one model and its limits."""

    def __init__(self, *, model: str, limits: Limits) -> None:
        self._base = (PROMPT_VERSION, model, msgspec.structs.astuple(limits))

    def of_request(self, request: Request) -> bytes | None:
        """The key of a request's answer; None where it is the asker's own."""
        return self._hash(request.action, request.content) if request.action in _REQUESTS else None

    def of_prompt(self, prompt: Prompt) -> bytes | None:
        """The key of a call's answer; None where it is the request's own."""
        if prompt.purpose not in _PROMPTS:
            return None
        return self._hash(prompt.purpose, prompt.system, prompt.user, str(prompt.max_tokens))

    def of_work(self, prompt: Prompt) -> bytes:
        """The key of a call's answer inside a job: everybody who asks for the same may have it."""
        return self._hash("work", prompt.purpose, prompt.system, prompt.user, str(prompt.max_tokens))

    def of_job(self, request: Request) -> bytes:
        """What a job of this request is known by: a chat is its user's own (CONTRACT, "Jobs")."""
        user = request.user_id if request.action == "chat" else ""
        return self._hash("job", request.action, request.content, request.context, user)

    def of_call(self, call: Call) -> bytes:
        """The key of a raw completion's answer: of everything that was asked but by whom."""
        import json  # noqa: PLC0415 - as below

        asked = (call.model, call.messages, call.max_tokens, call.extra)
        return self._hash("completion", json.dumps(asked, sort_keys=True))

    def _hash(self, *parts: str) -> bytes:
        from hashlib import sha256  # noqa: PLC0415 - late: a chat in a one-shot process needs none

        return sha256(_encoder.encode((self._base, parts))).digest()
