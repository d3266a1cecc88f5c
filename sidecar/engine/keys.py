"""Keys of what may be shared: a hash of all that determines an answer, and of nothing else.

The user is no part of a key; a chat has none. The names of the providers that a token allows are: work under way may
yet be sent, and a finished answer may come from any provider that its caller was allowed.
"""

from typing import Final

import msgspec

from sidecar.core.contract import Action, Request
from sidecar.core.ports import Call, Prompt, Purpose
from sidecar.core.raw_json import RawMessages
from sidecar.core.reach import Names
from sidecar.engine.actions import Limits
from sidecar.engine.actions.prompts import PROMPT_VERSION
from sidecar.engine.answer_cache import Key

_REQUESTS: Final[frozenset[Action]] = frozenset({"summarize", "analyze"})
_PROMPTS: Final[frozenset[Purpose]] = frozenset({"context", "part"})
"""Calls shared by themselves: a context inside chats, and a part of long texts. The others belong to one request."""

_encoder: Final = msgspec.msgpack.Encoder()


class Keys:
    """Keys under one model and its limits. The first word of each hash keeps texts and bodies apart."""

    def __init__(self, *, model: str, limits: Limits) -> None:
        self._limits = limits
        self.rename(model)

    def rename(self, model: str) -> None:
        """Make keys under another model from now on."""
        self._base = (PROMPT_VERSION, model, msgspec.structs.astuple(self._limits))

    def of_request(self, request: Request) -> Key[str] | None:
        """Return the key of a request's answer; None for a chat, whose answer is its user's own."""
        if request.action not in _REQUESTS:
            return None
        return Key(self._hash(request.action, request.content, names=request.providers or None))

    def of_prompt(self, prompt: Prompt, names: Names | None = None) -> Key[str] | None:
        """Return the key of a call's answer; None where the answer belongs to one request."""
        if prompt.purpose not in _PROMPTS:
            return None
        return Key(self._hash(prompt.purpose, prompt.system, prompt.user, str(prompt.max_tokens), names=names))

    def of_work(self, prompt: Prompt, names: Names | None = None) -> Key[str]:
        """Return the key of a call's answer inside a job: every job with the same call may have it."""
        return Key(self._hash("work", prompt.purpose, prompt.system, prompt.user, str(prompt.max_tokens), names=names))

    def of_job(self, request: Request) -> bytes:
        """Return the hash that a job of this request is known by: a chat is its user's own (CONTRACT, "Jobs")."""
        user = request.user_id if request.action == "chat" else ""
        return self._hash(
            "job", request.action, request.content, request.context, user, names=request.providers or None
        )

    def of_call(self, call: Call, names: Names | None = None) -> Key[bytes]:
        """Return the key of a raw completion's body: of everything in the call but its user.

        Small bodies are equal if their values are. What stays raw in a large one is compared byte by byte: other
        spaces, another order of names inside, or another spelling of a character make another key.
        """
        import json  # noqa: PLC0415 - as below

        raw: list[msgspec.Raw] = []

        def name(value: object) -> str:
            part = value.raw if isinstance(value, RawMessages) else value
            if not isinstance(part, msgspec.Raw):
                raise TypeError(type(value))
            raw.append(part)
            return f"raw {len(raw)}"

        fields = (call.model, call.messages, call.max_tokens, call.extra)
        text = json.dumps(fields, sort_keys=True, default=name)
        return Key(self._hash("completion", text, *map(_digest, raw), names=names))

    def _hash(self, *parts: str, names: Names | None) -> bytes:
        from hashlib import sha256  # noqa: PLC0415 - late: a chat in a one-shot process needs none

        # Without names the key is the one that earlier versions make.
        whole = (self._base, parts) if names is None else (self._base, parts, names)
        return sha256(_encoder.encode(whole)).digest()


def _digest(raw: msgspec.Raw) -> str:
    from hashlib import sha256  # noqa: PLC0415 - as above

    return sha256(memoryview(raw)).hexdigest()
