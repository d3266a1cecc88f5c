"""Keys of raw completions: what makes two calls one."""

import json

import msgspec

from sidecar.core.contract import Request, of_token
from sidecar.core.ports import Call, Prompt
from sidecar.core.raw_json import RawMessages
from sidecar.engine.keys import Keys
from tests.support.engines import LIMITS

KEYS = Keys(model="m", limits=LIMITS)


def call(messages: str, **extra: object) -> Call:
    raw = RawMessages(msgspec.Raw(messages.encode()), 1)
    return Call(messages=raw, max_tokens=7, extra=extra)


def test_large_calls_are_equal_byte_by_byte() -> None:
    """The same bytes are one call; another text, field or order of raw parts is another."""
    text = json.dumps([{"role": "user", "content": "Why?"}])
    tools, more = msgspec.Raw(b"[1,2]"), msgspec.Raw(b"[3]")
    key = KEYS.of_call(call(text, tools=tools, seed=1))
    assert KEYS.of_call(call(text, seed=1, tools=msgspec.Raw(b"[1,2]"))) == key
    others = [
        call(text + " ", tools=tools, seed=1),
        call(text, tools=more, seed=1),
        call(text, tools=tools, seed=2),
        call(text, tools=tools, more=more, seed=1),
        call(text, more=tools, tools=more, seed=1),
        call(text, tools="raw 2", seed=1),
    ]
    found = {KEYS.of_call(other) for other in others}
    assert len(found) == len(others)
    assert key not in found


def test_small_calls_are_equal_by_value() -> None:
    """However their JSON was written."""
    first = Call(messages=[{"role": "user", "content": "ü"}], max_tokens=7, extra={"a": 1, "b": 2})
    second = Call(messages=[{"content": "ü", "role": "user"}], max_tokens=7, extra={"b": 2, "a": 1})
    assert KEYS.of_call(first) == KEYS.of_call(second)


def test_answers_belong_to_the_providers_that_a_token_allows() -> None:
    """Requests, prompts, parts, bodies and jobs: each has another key under other names, in whatever way they came."""
    prompt = Prompt(purpose="part", system="s", user="u", max_tokens=7)
    body = Call(messages=[{"role": "user", "content": "ü"}], max_tokens=7)
    request = Request(action="summarize", content="A text.")
    eu, us = (of_token(request, "physics", (name,)) for name in ("eu", "us"))
    for key in (KEYS.of_request, KEYS.of_job):
        assert len({key(request), key(eu), key(us)}) == 3
        assert key(of_token(request, "physics", None)) == key(request)
        assert key(of_token(request, "chemistry", ("eu",))) == key(eu)
    for names in (("eu",), ("us",), ("eu", "us")):
        assert KEYS.of_prompt(prompt, names) != KEYS.of_prompt(prompt)
        assert KEYS.of_work(prompt, names) != KEYS.of_work(prompt)
        assert KEYS.of_call(body, names) != KEYS.of_call(body)


def test_keys_without_names_are_those_of_earlier_versions() -> None:
    """Jobs and parts in Redis are found again after an upgrade."""
    request = Request(action="summarize", content="A text.")
    prompt = Prompt(purpose="part", system="s", user="u", max_tokens=7)
    assert KEYS.of_job(request).hex()[:16] == "fc1bd06fc7938eee"
    assert KEYS.of_work(prompt).hex()[:16] == "b83544de3d497619"
