"""Promises of the OpenAI-compatible routes: its addresses, what the provider is asked, what is shared, who is asked."""

import asyncio
import base64
import json

import pytest

from sidecar.core.ports import Completion
from tests.support.event_streams import body, chat_request
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import AT_ONCE, PATIENCE, chunks, head, post, running

AZURE = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
PATHS = ["/v1/chat/completions", "/chat/completions", AZURE]
TOKEN = "canary-token"
GET = {"method": "GET"}


@pytest.mark.parametrize("path", PATHS)
async def test_all_three_addresses_answer(path: str) -> None:
    """With every field that Moodle reads and stores."""
    async with running(HeldUpstream(text="Half of it.")) as sidecar:
        answer = await sidecar.fetch(chat_request(path=path))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == answer.json["id"].removeprefix("chatcmpl-")
    assert answer.json["choices"][0]["message"]["content"] == "Half of it."
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert answer.json["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert (answer.json["model"], answer.json["system_fingerprint"]) == ("adorsys", "")


async def test_the_id_fits_its_column_whatever_the_request_is_called() -> None:
    """Where the provider gives none it is made of the request's, which a caller may choose."""
    async with running() as sidecar:
        answer = await sidecar.fetch(chat_request(f"X-Request-ID: {'x' * 128}"))
    assert answer.headers["x-request-id"] == "x" * 128
    assert answer.json["id"] == f"chatcmpl-{'x' * 119}"


async def test_the_provider_gets_what_the_caller_sent() -> None:
    """But for the model and the user; a request without a limit gets one."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    async with running(COMPLETION_MAX_TOKENS="99") as sidecar:
        await sidecar.fetch(chat_request(user="hash", tools=tools, temperature=0.2, stream_options=None))
        (call,) = sidecar.upstream.calls
    assert call.messages == [{"role": "user", "content": "What is a fraction?"}]
    assert (call.model, call.user, call.max_tokens) == ("", "", 99)
    assert call.extra == {"tools": tools, "temperature": 0.2, "stream_options": None}


@pytest.mark.parametrize(("path", "model"), [(PATHS[0], "mine"), (PATHS[1], "mine"), (AZURE, "gpt-4o")])
async def test_the_model_passes_through_where_that_was_set(path: str, model: str) -> None:
    """Azure's clients name it in the address."""
    fields = {} if "deployments" in path else {"model": "mine"}
    raw = json.dumps({"messages": [{"role": "user", "content": "x"}], **fields}).encode()
    async with running(MODEL_PASSTHROUGH="true") as sidecar:
        assert (await sidecar.fetch(post(raw, path=path))).json["model"] == model
        assert sidecar.upstream.calls[0].model == model


async def test_the_user_is_sent_as_a_pseudonym_where_that_was_set() -> None:
    """SEND_USER: an HMAC under the site's secret, the same as /ai's."""
    async with running(SEND_USER="true", USER_SECRET="of-the-site") as sidecar:
        await sidecar.fetch(chat_request(user="anna"))
        await sidecar.fetch(post(b'{"action": "chat", "content": "x", "user_id": "anna"}'))
        users = {call.user for call in sidecar.upstream.calls}
    assert len(users) == 1
    assert users.isdisjoint({"", "anna"})


async def test_a_burst_of_one_page_is_one_call() -> None:
    """300 pupils open it: Moodle's bodies differ in `user` alone, and the address says that they may share."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        path = "/v1/chat/completions?action=summarize"
        answers = [asyncio.create_task(sidecar.fetch(chat_request(path=path, user=f"u{n}"))) for n in range(300)]
        await upstream.reached()
        async with asyncio.timeout(PATIENCE):
            while sidecar.service.kernel.flights.joined < 299:
                await sidecar.fetch(head(path="/health", **GET))
        upstream.gate.set()
        found = await asyncio.gather(*answers)
        assert {answer.status for answer in found} == {200}
        assert {answer.body for answer in found} == {found[0].body}
        assert len(upstream.calls) == 1
        again = await sidecar.fetch(chat_request(path=path, user="u7"))
        assert (again.status, len(upstream.calls)) == (200, 2)
        await sidecar.fetch(chat_request(path=path, user="newcomer"))
        assert len(upstream.calls) == 2
        await sidecar.fetch(chat_request("Cache-Control: no-cache", path=path, user="another"))
        assert len(upstream.calls) == 3


@pytest.mark.parametrize("query", ["", "?action=chat", "?action=generate_text", "?action=unheard-of", "?action=%00"])
async def test_without_a_word_in_the_address_nothing_is_shared(query: str) -> None:
    """Only the administrator can know that two answers may be the same."""
    async with running() as sidecar:
        for user in "ab":
            assert (await sidecar.fetch(chat_request(path=f"/v1/chat/completions{query}", user=user))).status == 200
        assert len(sidecar.upstream.calls) == 2


async def test_an_action_changes_no_message() -> None:
    """Whatever it is called: prompts are Moodle's business here."""
    async with running() as sidecar:
        for action in ("summarize", "generate_text", "chat", "background"):
            await sidecar.fetch(chat_request(path=f"/v1/chat/completions?action={action}"))
        assert len({json.dumps(call.messages) + json.dumps(call.extra) for call in sidecar.upstream.calls}) == 1


async def test_generated_text_survives_moodles_tag_stripper() -> None:
    """A space after each `<`, by the address alone."""
    upstream = HeldUpstream()

    async def code(call: object, *, deadline: float) -> Completion:
        return Completion(text="a<b\0")

    upstream.complete = code  # type: ignore[method-assign]
    async with running(upstream) as sidecar:
        spaced = await sidecar.fetch(chat_request(path="/v1/chat/completions?action=generate_text"))
        plain = await sidecar.fetch(chat_request())
    assert spaced.json["choices"][0]["message"]["content"] == "a< b"
    assert plain.json["choices"][0]["message"]["content"] == "a<b"


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/chat/completions?deadline=0.2", ()), ("/v1/chat/completions", ("X-Request-Timeout: 0.2",))],
    ids=["query", "header"],
)
async def test_a_caller_may_shorten_the_deadline(path: str, headers: tuple[str, ...]) -> None:
    """504 then, and the provider's call is over."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar:
        assert (await sidecar.fetch(chat_request(*headers, path=path))).status == 504
        assert upstream.left.is_set()


async def test_a_caller_may_not_lengthen_the_deadline() -> None:
    """REQUEST_TIMEOUT holds."""
    async with running(HeldUpstream(held=True), REQUEST_TIMEOUT="0.2") as sidecar:
        assert (await sidecar.fetch(chat_request(path="/v1/chat/completions?deadline=999"))).status == 504


async def test_megabytes_come_after_an_invitation() -> None:
    """PHP's curl asks first with bodies over 1 MB."""
    raw = body(padding="x" * 2_000_000)
    async with running() as sidecar, await sidecar.call() as caller:
        length = f"Content-Length: {len(raw)}"
        await caller.send(head("Content-Type: application/json", length, "Expect: 100-continue", path=PATHS[0]))
        assert (await caller.receive()).status == 100
        await caller.send(raw)
        assert (await caller.receive()).status == 200
        start = head("Content-Type: application/json", "Transfer-Encoding: chunked", path=PATHS[0])
        await caller.send(start + chunks(raw[:9], raw[9:]))
        assert (await caller.receive()).status == 200


async def test_the_models_are_listed() -> None:
    """The one that answers; HEAD says as much."""
    async with running(OPENAI_MODEL="org/model:7b") as sidecar:
        for path in ("/v1/models", "/models"):
            listed = (await sidecar.fetch(head(path=path, **GET))).json
            assert [model["id"] for model in listed["data"]] == ["org/model:7b"]
        one = await sidecar.fetch(head(path="/v1/models/org%2Fmodel:7b", **GET))
        assert (one.status, one.json) == (200, listed["data"][0])
        other = await sidecar.fetch(head(path="/v1/models/gpt-4o", **GET))
        assert (other.status, other.json["error"]["code"]) == (404, "model_not_found")
        async with await sidecar.call() as caller:
            await caller.send(head(path="/v1/models", method="HEAD"))
            assert (await caller.receive(head=True)).status == 200


BASIC = "Authorization: Basic " + base64.b64encode(f"moodle:{TOKEN}".encode()).decode()


@pytest.mark.parametrize("header", [f"Authorization: Bearer {TOKEN}", BASIC, f"api-key: {TOKEN}"], ids=str)
async def test_the_token_is_required_on_loopback_too(header: str) -> None:
    """Whatever a Moodle user can make Moodle fetch could reach it."""
    async with running(SIDECAR_TOKEN=TOKEN) as sidecar:
        for path in PATHS:
            assert (await sidecar.fetch(chat_request(header, path=path))).status == 200
            refused = await sidecar.fetch(chat_request(path=path))
            assert (refused.status, refused.json["error"]["type"]) == (401, "authentication_error")
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/models", "/v1/models/adorsys"):
            assert (await sidecar.fetch(head(header, path=path, **GET))).status == 200
            assert (await sidecar.fetch(head(path=path, **GET))).status == 401
        assert (await sidecar.fetch(chat_request(f"{header}x"))).status == 401


async def test_without_a_token_set_whatever_moodle_sends_is_taken() -> None:
    """Its form wants a key; on loopback any will do."""
    async with running() as sidecar:
        assert (await sidecar.fetch(chat_request("Authorization: Bearer anything"))).status == 200


async def test_leaving_frees_the_slot() -> None:
    """A caller who closes the connection ends the provider's call."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, timings=AT_ONCE) as sidecar:
        caller = await sidecar.call()
        await caller.send(chat_request())
        await upstream.reached()
        await caller.leave()
        async with asyncio.timeout(PATIENCE):
            await upstream.left.wait()
            await sidecar.service.drain.emptied()
        assert sidecar.service.kernel.calls.idle
