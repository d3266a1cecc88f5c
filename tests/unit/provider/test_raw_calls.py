"""Calls whose texts stay raw: what a provider's refusal teaches and quotes."""

import json
from typing import Any

import msgspec
import pytest

from sidecar.core.ports import Call
from sidecar.core.raw_json import RawMessages
from sidecar.provider.codec import STEP, Pieces, body_of
from sidecar.provider.dialect import Dialect
from sidecar.provider.errors import failure
from sidecar.provider.http_answer import Answer

NO_SYSTEM = Answer(400, {}, b'{"error": {"message": "System role not supported"}}')
SYSTEM, USER = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why is the sky blue at noon?"}


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(value if isinstance(value, bytes) else json.dumps(value).encode())


def call(*messages: object, **extra: object) -> Call:
    return Call(messages=RawMessages(raw(list(messages)), len(messages)), max_tokens=7, extra=extra)


def mended(asked: Call) -> Any:
    """Return the body after the refusal of a system role, None where the refusal teaches nothing."""
    dialect = Dialect("m", {})
    fields = dialect.fields(asked)
    lesson = dialect.lesson(fields, NO_SYSTEM)
    if lesson is None:
        return None
    dialect.learn(fields, [lesson], 200)
    body = bytes(body_of(lesson.mend(fields)))
    assert bytes(body_of(dialect.fields(asked))) == body, "learned for later calls"
    return json.loads(body)["messages"]


def test_raw_parts_go_into_the_body_as_they_came() -> None:
    """Beside fields of every other kind, in steps that a connection takes."""
    text = [{"role": "user", "content": "Ü" * STEP}]
    body = body_of(Dialect("m", {"top_p": 1}).fields(call(*text, tools=raw([1, {"a": None}]), seed=3, stop=None)))
    sent = {
        "model": "m",
        "messages": text,
        "max_tokens": 7,
        "top_p": 1,
        "tools": [1, {"a": None}],
        "seed": 3,
        "stop": None,
    }
    whole = bytes(body)
    assert json.loads(whole) == sent
    assert isinstance(body, Pieces)
    steps = list(body)
    assert b"".join(steps) == whole
    assert max(len(step) for step in steps) <= STEP
    assert (len(body), bytes(body)) == (len(whole), b""), "read once, and let go"


def test_a_model_without_a_system_role_gets_its_words_elsewhere() -> None:
    """Before the user's first text, or before the parts of its content; all else stays as it came."""
    more = {"role": "assistant", "content": "Because.", "x": [1, [2]]}
    assert mended(call(SYSTEM, USER, more)) == [USER | {"content": f"Be kind.\n\n{USER['content']}"}, more]
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}]}
    text = [{"type": "text", "text": "Be kind."}, {"type": "text", "text": "a"}]
    assert mended(call(SYSTEM, parts)) == [parts | {"content": text}]
    assert mended(call(SYSTEM)) == [{"role": "user", "content": "Be kind."}]


@pytest.mark.parametrize("asked", [call(USER), call(SYSTEM, {"role": "user", "content": [[]] * 200_000})])
def test_what_cannot_be_mended_teaches_nothing(asked: Call) -> None:
    """No system role in it, or contents that take too much memory to be opened."""
    assert mended(asked) is None


@pytest.mark.parametrize(
    ("asked", "quoted"),
    [
        (call({"role": "user", "content": "Another text of some length."}), True),
        (call(USER), False),
        (call({"role": "user", "content": [{"type": "text", "text": USER["content"]}]}), False),
        (call({"role": "user", "content": "a"}, tools=raw([{"deep": [USER["content"]]}])), False),
        (call({"role": "user", "content": "a"}, tools=raw([[]] * 400_000)), False),
        (call({"role": "user", "content": [[]] * 400_000}), False),
    ],
)
def test_a_text_that_stays_raw_is_not_quoted_back(asked: Call, quoted: bool) -> None:
    """Where a text takes too much memory to be compared, nothing is quoted."""
    said = json.dumps({"error": {"message": f"cannot process {USER['content']}"}}).encode()
    assert ("sky blue" in str(failure(Answer(500, {}, said), asked))) is quoted
