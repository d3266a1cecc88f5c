"""A provider's refusal as a test writes it, and the error that the adapters make of it."""

import json
import time
from typing import Any, Final

import pytest

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call
from sidecar.provider.answers.reader import read
from sidecar.provider.http_answer import Answer

GEMINI: Final = "You exceeded your current quota, please check your plan and billing details."
QUESTION: Final = Call(messages=[{"role": "user", "content": "Why is the sky blue at noon?"}], max_tokens=7)
IN_A_MINUTE: Final = "IN_A_MINUTE"
"""Placeholder of the epoch milliseconds of a minute from now."""


def refused(body: object, status: int, headers: dict[str, str] | None = None, call: Call = QUESTION) -> UpstreamFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = raw.replace(IN_A_MINUTE.encode(), str(round((time.time() + 60) * 1000)).encode())
    answer = Answer(status, headers or {}, raw)
    with pytest.raises(UpstreamFailure) as caught:
        read(answer, call, ())
    return caught.value


def row(name: str, *values: object) -> Any:
    return pytest.param(*values, id=name)


def error(message: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, **more}}
