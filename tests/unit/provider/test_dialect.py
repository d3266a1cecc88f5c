"""What a model's refusals teach about the requests it takes."""

import json
from typing import Any

import pytest

from sidecar.core.ports import Call
from sidecar.provider.dialect import Dialect
from sidecar.provider.http_answer import Answer

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
QUESTION = Call(messages=MESSAGES, max_tokens=7, user="hash")


def refusal(message: str, status: int = 400) -> Answer:
    return Answer(status, {}, json.dumps({"error": {"message": message}}).encode())


def taught(message: str, status: int = 400, call: Call = QUESTION) -> str | None:
    """Return the name of the lesson in a refusal of `call`."""
    dialect = Dialect("m", {})
    lesson = dialect.lesson(dialect.fields(call), refusal(message, status))
    return lesson.name if lesson else None


@pytest.mark.parametrize(
    ("message", "status", "name"),
    [
        ("Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead.", 400, "max_completion_tokens"),
        ("max_tokens is not supported by this model", 422, "max_completion_tokens"),
        ("Unrecognized request argument supplied: max_tokens", 400, "max_completion_tokens"),
        ("'max_tokens' or 'max_completion_tokens' is too large: 9. Your request has 8 tokens.", 400, None),
        ("max_tokens is too large: this model supports at most 4096 completion tokens", 400, None),
        ("Unsupported parameter: 'temperature'", 400, None),
        ("Unsupported parameter: 'max_tokens'", 500, None),
        ("System role not supported", 400, "no system role"),
        ("System role not supported", 500, "no system role"),
        ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", 400, "no system role"),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", 400, "no system role"),
        ("Only the roles 'user' and 'assistant' are not permitted to repeat", 400, None),
        ("property 'user' is unsupported", 400, "no field user"),
        ("Unrecognized request argument supplied: user", 400, "no field user"),
        ("The user is not supported in this region", 400, None),
    ],
)
def test_a_refusal_of_a_name_differs_from_one_of_its_value(message: str, status: int, name: str | None) -> None:
    """Only the former is mended by another request."""
    assert taught(message, status) == name


def test_the_limits_name_is_learned_the_other_way_round_too() -> None:
    """Moodle's own form offers the newer name, which older servers refuse."""
    call = Call(messages=MESSAGES, max_tokens=7, extra={"max_completion_tokens": 9})
    body = {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]}
    dialect = Dialect("m", {})
    fields = dialect.fields(call)
    lesson = dialect.lesson(fields, Answer(422, {}, json.dumps(body).encode()))
    assert lesson is not None
    assert lesson.mend(fields)["max_tokens"] == 9
    assert "max_completion_tokens" not in lesson.mend(fields)


def test_a_call_is_mended_once_for_each_subject() -> None:
    """A provider that refuses both names gets no third try."""
    dialect = Dialect("m", {})
    fields = dialect.fields(QUESTION)
    first = dialect.lesson(fields, refusal("max_tokens is not supported"))
    assert first is not None
    again = refusal("max_tokens and max_completion_tokens are not supported")
    assert dialect.lesson(first.mend(fields), again, [first]) is None
    second = dialect.lesson(first.mend(fields), refusal("System role not supported"), [first])
    assert second is not None


def test_what_one_model_refuses_says_nothing_about_the_next() -> None:
    """Lessons are remembered by model, once the mended call was not refused like this."""
    dialect = Dialect("m", {})
    fields = dialect.fields(QUESTION)
    lesson = dialect.lesson(fields, refusal("max_tokens is not supported"))
    assert lesson is not None
    dialect.learn(fields, [lesson], 400)
    assert dialect.learned() == ()
    dialect.learn(fields, [lesson], 200)
    assert dialect.learned() == ("max_completion_tokens",)
    assert dialect.fields(QUESTION)["max_completion_tokens"] == 7
    assert dialect.fields(Call(messages=[], max_tokens=7, model="other"))["max_tokens"] == 7


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        (MESSAGES, [{"role": "user", "content": "Be kind.\n\nWhy?"}]),
        ([MESSAGES[0]], [{"role": "user", "content": "Be kind."}]),
        (
            [MESSAGES[0], {"role": "user", "content": [{"type": "image_url"}]}],
            [{"role": "user", "content": [{"type": "text", "text": "Be kind."}, {"type": "image_url"}]}],
        ),
    ],
)
def test_a_systems_words_go_before_the_users_text(messages: list[Any], sent: list[Any]) -> None:
    """Nothing the caller wrote is lost where a model has no system role."""
    dialect = Dialect("m", {})
    fields = dialect.fields(Call(messages=messages, max_tokens=7))
    lesson = dialect.lesson(fields, refusal("System role not supported"))
    assert lesson is not None
    dialect.learn(fields, [lesson], 200)
    assert dialect.fields(Call(messages=messages, max_tokens=7))["messages"] == sent
    assert messages[0] is MESSAGES[0]
    assert messages[0]["content"] == "Be kind."


def test_the_models_remembered_are_bounded() -> None:
    """Names can come from callers."""
    dialect = Dialect("m", {})
    lesson = dialect.lesson(dialect.fields(QUESTION), refusal("max_tokens is not supported"))
    assert lesson is not None
    for number in range(2500):
        dialect.learn({"model": str(number)}, [lesson], 200)
    known = [number for number in range(2500) if dialect.learned(str(number))]
    assert 0 < len(known) <= 1000
