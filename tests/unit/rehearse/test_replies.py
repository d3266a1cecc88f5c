"""Promises of reading a reply: the envelope counts, as for the plugin, and no status stands for an answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import SidecarError
from sidecar.rehearse.plan import Route
from sidecar.rehearse.replies import ANSWERED, NO_ANSWER, UNFINISHED, Reply, kind_of, read_reply


def ai(fields: object, status: int = 200) -> Reply:
    return read_reply("ai", status, json.dumps(fields).encode())


def test_only_a_success_with_a_text_is_an_answer() -> None:
    """Status 200 alone is none: failures come with it too."""
    assert ai({"success": True, "data": "A text."}) == Reply(ANSWERED)
    assert ai({"success": False, "data": None, "error": "No.", "code": "timeout"}) == Reply("timeout")
    nothing: list[object] = [
        {"success": True},
        {"success": True, "data": " "},
        {"success": 1, "data": "x"},
        [],
        None,
        "ok",
    ]
    for fields in nothing:
        assert ai(fields) == Reply(NO_ANSWER), fields


def test_any_other_status_would_start_a_process() -> None:
    """The deployed plugin takes it for a dead server, whatever the body is."""
    assert ai({"success": False, "code": "overloaded"}, 503) == Reply("overloaded", fallback=True)
    assert read_reply("ai", 502, b"<html>") == Reply(NO_ANSWER, fallback=True)
    assert not ai({"success": False, "code": "overloaded"}).fallback


def test_moodles_own_subsystem_takes_exactly_200() -> None:
    """An answer is a choice with a text at status 200; an error names its code, and starts no process."""
    answer = {"choices": [{"message": {"content": "A text."}}]}
    assert read_reply("v1", 200, json.dumps(answer).encode()) == Reply(ANSWERED)
    assert read_reply("v1", 201, json.dumps(answer).encode()) == Reply(NO_ANSWER)
    assert read_reply("v1", 429, b'{"error": {"message": "No.", "code": "overloaded"}}') == Reply("overloaded")
    nothing: list[object] = [{}, {"choices": []}, {"choices": [{"message": {"content": None}}]}, {"error": "x"}]
    for fields in nothing:
        assert read_reply("v1", 200, json.dumps(fields).encode()) == Reply(NO_ANSWER), fields


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ok", "answered"),
        ("overloaded", "refused"),
        ("limited", "refused"),
        ("rate_limited", "refused"),
        ("shutting_down", "refused"),
        ("timeout", "late"),
        ("gave_up", "late"),
        ("upstream_error", "error"),
        ("unreachable", "error"),
        ("something_new", "error"),
        ("unfinished", "unfinished"),
    ],
)
def test_a_code_has_a_meaning_to_pupils(code: str, kind: str) -> None:
    """Refused for want of room, too late, or failed; an unknown code is a failure."""
    assert kind_of(code) == kind


def test_every_code_of_the_product_is_shown_as_it_is() -> None:
    """None is lost as no answer."""
    kinds: list[type[SidecarError]] = [SidecarError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for code in {kind.code for kind in kinds}:
        assert ai({"success": False, "code": code}) == Reply(code)


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_bytes_have_an_outcome(body: bytes, status: int) -> None:
    """A stranger's reply is no answer, and not a word of it is shown."""
    routes: tuple[Route, ...] = ("ai", "v1")
    assert {read_reply(route, status, body).code for route in routes} == {NO_ANSWER}


@given(st.text(max_size=60))
def test_a_code_is_only_what_looks_like_one(code: str) -> None:
    """Text of a stranger reaches neither terminal nor result, and no reply claims to be answered or unfinished."""
    shown = ai({"success": False, "code": code}).code
    assert shown == NO_ANSWER or (shown == code and set(code) <= set("abcdefghijklmnopqrstuvwxyz_"))
    assert ai({"success": False, "code": ANSWERED}).code == NO_ANSWER
    assert ai({"success": False, "code": UNFINISHED}).code == NO_ANSWER
