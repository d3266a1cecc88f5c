"""Named tokens that allow some providers only, on every route."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import UpstreamAuth
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, head
from tests.support.limited_sidecar import TOKENS, LimitedSidecar, limited, token_table

V1 = "/v1/chat/completions"
EU, US = 'providers = ["eu"]', 'providers = ["us"]'


def three() -> dict[str, HeldUpstream]:
    return {name: HeldUpstream(text=f"Said in {name}.") for name in ("eu", "us", "asia")}


def texts(upstream: HeldUpstream) -> list[str]:
    return [str(call.messages[-1]["content"]) for call in upstream.calls]


async def get(site: LimitedSidecar, path: str, token: str = "") -> Answer:
    headers = [f"Authorization: Bearer {TOKENS[token]}"] if token else []
    return await site.sidecar.fetch(head(*headers, path=path, method="GET"))


@pytest.mark.parametrize(("path", "fields"), [("/ai", {}), (V1, {}), (V1, {"stream": True})])
async def test_a_tokens_texts_go_to_its_providers_only(tmp_path: Path, path: str, fields: dict[str, Any]) -> None:
    """On each route, whole or streamed; callers without such a token have every provider."""
    upstreams = three()
    tables = token_table("physics", EU), token_table("chemistry", 'providers = ["asia", "us"]'), token_table("gone")
    async with limited(tmp_path, *tables, upstreams=upstreams) as site:
        for number in range(6):
            for token in ("physics", "chemistry", "gone"):
                assert (await site.ask(path, token=token, text=f"{token} {number}", **fields)).status == 200
        answer = await site.ask(V1, token="physics", text="physics at last")
    assert answer.headers["x-sidecar-provider"] == "eu"
    assert answer.json["model"] == "of-eu"
    found = {name: {text.partition(" ")[0] for text in texts(upstream)} for name, upstream in upstreams.items()}
    assert found["eu"] <= {"physics", "gone"}
    assert found["us"] | found["asia"] <= {"chemistry", "gone"}
    assert sum(text.startswith("physics") for text in texts(upstreams["eu"])) == 7


async def test_a_full_provider_is_no_reason_to_leave_it(tmp_path: Path) -> None:
    """A token's call waits for its own provider while others have room, and those of others are answered meanwhile."""
    upstreams = three()
    upstreams["eu"].gate.clear()
    tables = token_table("physics", EU), token_table("chemistry", US)
    async with limited(tmp_path, *tables, upstreams=upstreams, CONCURRENCY="2") as site:
        held = [asyncio.create_task(site.ask(token="physics", user=str(n), text=f"physics {n}")) for n in range(6)]
        await upstreams["eu"].reached(2)
        while site.sidecar.service.kernel.calls.gate.waiting < 4:  # noqa: ASYNC110 - the wire says nothing of it
            await asyncio.sleep(0)
        assert (await site.ask(token="chemistry")).json["data"] == "Said in us."
        assert (await site.ask()).json["success"]
        shown = (await get(site, "/status")).json
        assert shown["tokens"]["physics"] == {"providers": ["eu"], "breaker": "closed", "waiting": 4}
        upstreams["eu"].gate.set()
        assert {answer.json["data"] for answer in await asyncio.gather(*held)} == {"Said in eu."}


async def test_answers_are_shared_among_tokens_with_the_same_providers(tmp_path: Path) -> None:
    """Neither a finished answer nor one under way comes from a provider that the token does not allow."""
    upstreams = three()
    tables = token_table("physics", EU), token_table("chemistry", 'providers = ["eu", "eu"]'), token_table("gone", US)
    async with limited(tmp_path, *tables, upstreams=upstreams) as site:

        async def analysis(token: str, user: str) -> str:
            answer = await site.ask(token=token, user=user, action="analyze", text="The same text.")
            data: str = answer.json["data"]
            return data

        for upstream in upstreams.values():
            upstream.gate.clear()
        both = [asyncio.create_task(analysis(token, "1")) for token in ("gone", "physics")]
        await asyncio.gather(upstreams["us"].reached(), upstreams["eu"].reached())
        for upstream in upstreams.values():
            upstream.gate.set()
        assert await asyncio.gather(*both) == ["Said in us.", "Said in eu."]
        assert await analysis("chemistry", "2") == "Said in eu."
        assert [len(upstream.calls) for upstream in upstreams.values()] == [1, 1, 0]
        await analysis("", "3")
        assert sum(len(upstream.calls) for upstream in upstreams.values()) == 3


@pytest.mark.parametrize(
    ("path", "fields", "calls"),
    [("/v1/chat/completions?action=summarize", {}, 1), ("/ai", {"context": "A long context. " * 200}, 2)],
    ids=["completion", "context"],
)
async def test_parts_of_answers_are_shared_no_further(
    tmp_path: Path, path: str, fields: dict[str, Any], calls: int
) -> None:
    """Bodies of /v1 and summaries of long contexts: the provider of another token's is called for none of them."""
    upstreams = three()
    async with limited(tmp_path, token_table("physics", EU), token_table("gone", US), upstreams=upstreams) as site:
        for token, user in (("gone", "1"), ("physics", "2"), ("physics", "3")):
            assert (await site.ask(path, token=token, user=user, **fields)).status == 200
    again = calls - 1
    assert [len(upstream.calls) for upstream in upstreams.values()] == [calls + again, calls, 0]


async def test_a_token_sees_the_models_of_its_providers(tmp_path: Path) -> None:
    """And a model of another provider is none to it."""
    async with limited(tmp_path, token_table("physics", EU), token_table("gone"), upstreams=three()) as site:
        listed = (await get(site, "/v1/models", "physics")).json["data"]
        assert [model["id"] for model in listed] == ["of-eu"]
        assert (await get(site, "/v1/models/of-us", "physics")).status == 404
        assert len((await get(site, "/v1/models", "gone")).json["data"]) == 3


async def test_callers_of_a_broken_provider_are_refused_and_no_others(tmp_path: Path) -> None:
    """At once, with what is wrong; /status names the token, and /ready says that a part of the providers is down."""
    upstreams = three()
    upstreams["eu"].failure = UpstreamAuth(status=401)
    async with limited(tmp_path, token_table("physics", EU), token_table("chemistry", US), upstreams=upstreams) as site:
        for number in range(6):
            assert (await site.ask(token="physics", text=str(number))).json["code"] == "upstream_auth"
        assert len(upstreams["eu"].calls) <= 4
        assert (await site.ask(token="chemistry")).json["success"]
        status = (await get(site, "/status")).json["tokens"]
        assert {name: token["breaker"] for name, token in status.items()} == {"physics": "open", "chemistry": "closed"}
        assert (await get(site, "/ready")).json["checks"]["provider"] == "partly"


async def test_a_token_whose_providers_are_gone_is_refused(tmp_path: Path) -> None:
    """After PROVIDERS_FILE was read again without them: no text goes anywhere, and every route says why."""
    upstreams = three()
    async with limited(tmp_path, token_table("physics", EU), upstreams=upstreams) as site:
        pool = site.sidecar.service.kernel.calls.pool
        pool.replace([one for one in pool.providers if one.name == "us"])
        refused = await site.ask(token="physics")
        assert (refused.status, refused.json["code"]) == (200, "upstream_unreachable")
        assert "TOKENS_FILE" in refused.json["error"]
        for stream in (False, True):
            assert (await site.ask(V1, token="physics", stream=stream)).status == 502
        assert (await get(site, "/v1/models", "physics")).json["data"] == []
        assert (await get(site, "/v1/models/of-eu", "physics")).status == 404
        assert (await get(site, "/status")).json["tokens"]["physics"]["breaker"] == "open"
        assert (await get(site, "/ready")).json["checks"]["provider"] == "partly"
        assert (await site.ask()).json["data"] == "Said in us."
        assert not upstreams["eu"].calls
