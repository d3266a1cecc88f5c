"""The corpus of providers' answers: each file is one HTTP answer, with what callers hear beside it.

`NAME.http` holds a status line, headers and, after a blank line, the body's bytes as they came; the length is added.
`NAME.expected.json` holds `seen` (who sends it) and what is heard: on `/ai` under `ai`, on `/v1` under `whole` (else as
`ai`), on a stream under `stream` (else as `whole`). `text` is the answer's text; `code` and `says`, a part of the
sentence, tell a failure. `usage` are the counts in the log, `calls` the calls made, `arguments` those of a
tool.
"""

import json
from typing import Any, Final

import msgspec

from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests/corpus"


class Heard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller hears on one route."""

    text: str | None = ""
    code: str = ""
    says: str = ""
    arguments: str = ""


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What callers hear of one answer, on every route."""

    seen: str
    ai: Heard
    whole: Heard | None = None
    stream: Heard | None = None
    usage: tuple[int, int] = (0, 0)
    calls: int = 1


class Sample(msgspec.Struct, frozen=True):
    """One file of the corpus."""

    name: str
    answer: bytes
    expected: Expected


def samples() -> list[Sample]:
    """Return the corpus by name."""
    return [
        Sample(path.stem, _answer(path.read_bytes()), _expected(path.with_suffix(".expected.json").read_bytes()))
        for path in sorted(FOLDER.glob("*.http"))
    ]


def _answer(raw: bytes) -> bytes:
    head, _, body = raw.partition(b"\n\n")
    return head.replace(b"\n", b"\r\n") + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _expected(raw: bytes) -> Expected:
    return msgspec.json.decode(raw, type=Expected)


def heard_on_ai(body: Any) -> Heard:
    """Return what a reply of `/ai` says."""
    return Heard(body.get("data") or "", body.get("code") or "", body.get("error") or "")


def heard_whole(status: int, body: Any) -> Heard:
    """Return what a whole answer of `/v1` says."""
    if status != 200:
        return Heard("", body["error"]["code"], body["error"]["message"])
    message = body["choices"][0]["message"]
    called = message.get("tool_calls")
    return Heard(message["content"], arguments=called[0]["function"]["arguments"] if called else "")


def heard_streamed(status: int, body: bytes) -> Heard:
    """Return what a stream of `/v1` says; a stream ends with `[DONE]` or an error, never with both."""
    if status != 200:
        return heard_whole(status, json.loads(body))
    data = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: ")]
    events = [json.loads(one) for one in data if one != "[DONE]"]
    errors = [event["error"] for event in events if event.get("error")]
    assert bool(errors) != ("[DONE]" in data)
    choices = [choice for event in events for choice in event.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Heard(text, errors[0]["code"] if errors else "", errors[0]["message"] if errors else "")
