"""Promises of the Moodle plugin about answers and failures: real PHP and HTTP, stand-ins of Moodle's classes.

A server that says what a test wrote stands in for the sidecar where the promise is about one answer.
"""

import asyncio
import hashlib
import re
import socket
from typing import Any

import pytest

from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.moodle_plugin import LANGUAGES, SHAPES, Shape, acted, driven, failure
from tests.support.php import needs_php
from tests.support.scripted_provider import CannedProvider, canned, completion, http
from tests.support.server_process import served

pytestmark = needs_php

TOKEN = "token-of-this-site"


def at(server: CannedProvider) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_action_is_answered(shape: Shape) -> None:
    """By a real sidecar: the text, what Moodle's report counts, and in a form that its tables take."""
    names, ready = await driven("offered", shape=shape, url="http://127.0.0.1:8081")
    assert ready
    assert names == ["generate_text", "summarise_text", "explain_text"][: 3 if shape == "5" else 2]
    async with (
        serve(Options(), keep=10) as demo,
        served(f"--base-url={demo.url}/v1", "--api-key=k", "--model=m-1", f"--sidecar-token={TOKEN}") as sidecar,
    ):
        url = f"http://{sidecar.host}:{sidecar.port}/v1"
        calls = [{"action": name, "text": "Is a<b or b<a?"} for name in names]
        came = await acted(*calls, shape=shape, url=url, token=TOKEN)
        [refused] = await acted({}, shape=shape, url=url, token="guess")
        await sidecar.event("refused", code="unauthorized")
    for answer in came:
        assert answer["success"], answer
        assert answer["generatedcontent"]
        assert (answer["finishreason"], answer["model"]) == ("stop", "m-1")
        assert answer["prompttokens"] > 0 < answer["completiontokens"]
    assert "a< b" in came[0]["generatedcontent"]  # Moodle's editor takes no tag
    assert (refused["errorcode"], refused["success"]) == (401, False)


async def test_the_request_is_one_that_the_sidecar_can_share() -> None:
    """System instruction, pseudonym, action and deadline; no name of a model, and no name or id of the person."""
    async with canned(http(completion(), X_Request_ID="x"), close=True) as server:
        calls = [{"action": "explain_text", "text": "Ä <b>", "userid": 4711}, {}]
        await acted(*calls, url=f"{at(server)}/", token=TOKEN, deadline="12")
        first, second = server.received
    assert first.line == "POST /v1/chat/completions?action=explain_text&deadline=12 HTTP/1.1"
    assert second.line.startswith("POST /v1/chat/completions?action=summarise_text&deadline=12 ")
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.headers["content-type"] == "application/json"
    assert first.json == {
        "messages": [
            {"role": "system", "content": "Instruction of explain_text"},
            {"role": "user", "content": "Ä <b>"},
        ],
        "user": hashlib.sha256(b"site-14711").hexdigest(),
    }
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_every_code_has_a_sentence_in_every_language() -> None:
    """Another one than that of an internal fault, without markup, and with the id that the sidecar's log has."""
    _, codes = await driven("strings")
    calls = [{"lang": language} for _ in codes for language in LANGUAGES]
    async with canned(*(failure(code, 502) for code in codes for _ in LANGUAGES), close=True) as server:
        came = await acted(*calls, url=at(server))
        ids = [heard.headers["x-request-id"] for heard in server.received]
    assert len(came) == len(codes) * len(LANGUAGES) == len(ids)
    for answer, request_id in zip(came, ids, strict=True):
        assert answer["errorcode"] == 502
        assert request_id in answer["errormessage"]
        assert "<" not in answer["error"] + answer["errormessage"]
        assert "Said by" not in answer["errormessage"]
    said = {language: [re.sub(r" \(.*", "", answer["errormessage"]) for answer in came[n::4]] for n, language in
            enumerate(LANGUAGES)}  # fmt: skip
    assert all(len(set(sentences)) >= len(codes) - 1 for sentences in said.values())
    assert all(said["en"][n] != said[other][n] for other in LANGUAGES[1:] for n in range(len(codes)))


async def test_an_unknown_language_reads_english_and_an_unknown_code_a_fault() -> None:
    """A newer sidecar may have codes that this plugin does not know; a code need not be a string."""
    codes: list[Any] = ["new_code", "not_found", 7]
    async with canned(*(failure(code, 500) for code in codes), close=True) as server:
        came = await acted(*({"lang": "pl"} for _ in codes), url=at(server))
    assert came[0]["errormessage"].startswith("The AI service had a fault. ")
    assert came[1]["errormessage"].startswith("The AI service is set up with a wrong address. ")
    assert came[2]["errormessage"].startswith("The AI service sent an answer that cannot be read. ")


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_no_answer_is_a_failure_and_never_an_exception(shape: Shape) -> None:
    """Moodle asks its next provider after a failure; an exception would end the request."""
    useless = [
        http(b"<html>", Content_Type="text/html"),
        http([1]),
        http({"choices": []}),
        http(completion({"content": None})),
        http(completion({"content": ["x"]})),
        http(completion({"content": " \n"})),
        http({}, 302, Location="http://127.0.0.1:1/"),
        http({}, 204),
        http({"error": "words"}, 500),
        http(b"", 503),
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"nonsense\r\n\r\n",
    ]
    async with canned(*useless, close=True) as server:
        came = await acted(*({} for _ in useless), shape=shape, url=at(server))
        assert len(server.received) == len(useless)
    assert [answer for answer in came if answer["success"] or answer["debugged"]] == []


async def test_what_moodle_could_not_store_is_cut() -> None:
    """Its columns have lengths and types, and it throws after the paid call."""
    odd = {
        "id": "i" * 500,
        "model": "ä" * 80,
        "system_fingerprint": 7,
        "usage": {"prompt_tokens": "many", "completion_tokens": -1},
        "choices": [{"message": {"content": "A\0B"}, "finish_reason": "tool calls/1"}],
    }
    async with canned(http(odd), close=True) as server:
        [came] = await acted({}, url=at(server))
    assert (len(came["id"]), came["model"], came["fingerprint"]) == (128, "ä" * 50, None)
    assert (came["generatedcontent"], came["finishreason"]) == ("AB", "toolcalls")
    assert (came["prompttokens"], came["completiontokens"]) == (None, None)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_dead_sidecar_is_a_sentence_at_once(shape: Shape) -> None:
    """With the status after which Moodle's own providers are passed over too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    came = await acted({}, {"lang": "de"}, shape=shape, url=f"http://127.0.0.1:{port}")
    assert [answer["errorcode"] for answer in came] == [503, 503]
    assert came[0]["errormessage"].startswith("The AI service is not running.")
    assert came[1]["errormessage"].startswith("Der KI-Dienst läuft nicht.")


async def test_a_silent_sidecar_is_left_after_its_deadline() -> None:
    """The sidecar has its deadline to say why; then the person hears so."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        [came] = await acted({}, url=f"http://127.0.0.1:{port}", deadline=1, margin=0.1)
    assert came["errorcode"] == 504
    assert came["errormessage"].startswith("The AI service did not answer in time.")


async def test_a_fault_of_the_plugin_is_a_failure_and_names_no_text() -> None:
    """A developer reads the class and the line; Moodle asks its next provider."""
    [came] = await acted({"text": "secret words"}, url="http://127.0.0.1:1", broken=True)
    assert (came["success"], came["errorcode"]) == (False, 500)
    assert "secret" not in str(came)
    assert re.match(r"aiprovider_sidecar: Error at .*abstract_processor\.php:\d+$", came["debugged"][0])


async def test_4_5_limits_requests_itself() -> None:
    """Moodle 5 does so for every provider."""
    async with canned(http(completion())) as server:
        for scope in ("user", "global"):
            limits = {f"enable{scope}ratelimit": "1", f"{scope}ratelimit": "0"}
            [came] = await acted({}, shape="4.5", url=at(server), **limits)
            assert (came["success"], came["errorcode"]) == (False, 429)
        assert server.received == []
