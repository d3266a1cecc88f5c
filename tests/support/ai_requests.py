"""Requests to POST /ai as exact bytes, and what every reply to one has. No promises here."""

import json

import pytest

from tests.support.http_sidecar import Answer

STRICT = pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])


def chat(content: str) -> bytes:
    return json.dumps({"action": "chat", "content": content}).encode()


def sized(size: int) -> bytes:
    """A chat of exactly `size` bytes."""
    return chat("x" * (size - len(chat(""))))


def check_envelope(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "aiohttp" not in answer.headers["server"]
    assert answer.headers["x-request-id"]
    if not answer.json["success"]:
        assert set(answer.json) == {"success", "data", "error", "code"}
        assert answer.json["data"] is None
        assert 0 < len(answer.json["error"]) <= 300
