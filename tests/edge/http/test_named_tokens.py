"""Promises of named tokens: what each opens, beside the sidecar's own token, and what changes with the file."""

import asyncio
import base64
from pathlib import Path

import pytest

from sidecar.config.tokens import TokensFile
from sidecar.core.errors import ConfigError
from sidecar.http.routes.ops import status_route
from tests.support.http_sidecar import Answer, head, post
from tests.support.limited_sidecar import TOKENS, LimitedSidecar, limited, token_table

V1 = "/v1/chat/completions"
PHYSICS = TOKENS["physics"]
OWN = "canary-own-token"


async def status(site: LimitedSidecar, *headers: str, path: str = V1) -> int:
    body = b'{"messages": [{"role": "user", "content": "x"}], "action": "chat", "content": "x"}'
    return (await site.sidecar.fetch(post(body, *headers, path=path))).status


@pytest.mark.parametrize(
    "header",
    [
        f"Authorization: Bearer {PHYSICS}",
        f"Authorization: Basic {base64.b64encode(f'moodle:{PHYSICS}'.encode()).decode()}",
        f"api-key: {PHYSICS}",
        f"Authorization: Bearer {OWN}",
    ],
    ids=["bearer", "basic", "api-key", "own"],
)
@pytest.mark.parametrize("path", ["/ai", V1])
async def test_a_named_token_opens_as_the_own_one_does(tmp_path: Path, header: str, path: str) -> None:
    """In every header that may carry one; SIDECAR_TOKEN goes on to work."""
    tables = token_table("chemistry"), token_table("physics")
    async with limited(tmp_path, *tables, SIDECAR_TOKEN=OWN, AI_REQUIRE_TOKEN="true") as site:
        assert await status(site, header, path=path) == 200
        assert await status(site, header + "x", path=path) == 401
        assert await status(site, path=path) == 401


async def test_a_token_is_for_its_routes(tmp_path: Path) -> None:
    """Elsewhere it is refused, and says so; a token without routes is for all but what operators see."""
    tables = (
        token_table("physics", 'routes = ["ai"]'),
        token_table("chemistry"),
        token_table("gone", 'routes = ["status"]'),
    )
    async with limited(tmp_path, *tables) as site:

        async def looked(name: str) -> list[int]:
            bearer = f"Authorization: Bearer {TOKENS[name]}"
            job = await site.sidecar.fetch(head(bearer, path=f"/jobs/{'0' * 32}", method="GET"))
            models = await site.sidecar.fetch(head(bearer, path="/v1/models", method="GET"))
            return [await status(site, bearer, path="/ai"), await status(site, bearer), models.status, job.status]

        assert await looked("physics") == [200, 401, 401, 401]
        assert await looked("chemistry") == [200, 200, 200, 503]
        assert await looked("gone") == [401, 401, 401, 401]
        refused = await site.ask(V1, token="physics")
        assert refused.json["error"]["message"] == "This token is not for this address."


async def test_operators_pages_need_a_token_that_is_for_them(tmp_path: Path) -> None:
    """From another machine; without any token at all nobody else may look."""
    from sidecar.http.app import application
    from sidecar.http.router import Routes
    from tests.support.http_sidecar import Caller, serving

    tables = token_table("physics", 'routes = ["status"]'), token_table("chemistry")
    async with limited(tmp_path, *tables) as site:
        service = site.sidecar.service
        route = status_route(service, "", local=lambda _: False)
        async with serving(application(Routes({"/status": route}), service)) as address:

            async def look(*headers: str) -> Answer:
                async with await Caller.connect(*address, described=False) as caller:
                    await caller.send(head(*headers, path="/status", method="GET"))
                    return await caller.receive()

            assert (await look()).status == 401
            assert (await look(f"Authorization: Bearer {PHYSICS}")).status == 200
            assert (await look(f"Authorization: Bearer {TOKENS['chemistry']}")).status == 401
            site.quotas.replace(TokensFile())
            assert (await look()).status == 401


async def test_on_loopback_a_token_on_ai_is_taken_and_not_required(tmp_path: Path) -> None:
    """The deployed communicator sends none; one that is sent says whose limits count."""
    async with limited(tmp_path, token_table("physics", "requests_per_minute = 1")) as site:
        assert (await site.ask(token="physics")).json["success"]
        assert (await site.ask(token="physics")).json["code"] == "limited"
        assert (await site.ask()).json["success"]
        assert (await site.ask(token="unknown")).json["success"]


async def test_beyond_loopback_a_named_token_will_do(tmp_path: Path) -> None:
    """And one of both kinds must be there."""
    async with limited(tmp_path, token_table("physics"), HOST="0.0.0.0") as site:
        assert [await status(site, path="/ai"), await status(site, f"api-key: {PHYSICS}", path="/ai")] == [401, 200]
    with pytest.raises(ConfigError, match="SIDECAR_TOKEN"):
        async with limited(tmp_path, "[user]\nat_once = 1", HOST="0.0.0.0"):
            pass


async def test_the_first_named_token_closes_and_a_removed_one_is_refused(tmp_path: Path) -> None:
    """With the file as it is now, not as it was at the start."""
    async with limited(tmp_path, "") as site:
        assert await status(site) == 200
        site.quotas.replace(TokensFile(tokens=(await physics(tmp_path)).tokens))
        assert [await status(site), await status(site, f"api-key: {PHYSICS}")] == [401, 200]


async def physics(folder: Path) -> TokensFile:
    async with limited(folder, token_table("physics")) as other:
        return other.quotas.file


async def test_a_class_of_users_waits_behind_the_others(tmp_path: Path) -> None:
    """`traffic = "background"`: interactive callers go first, whichever route they take."""
    async with limited(tmp_path, token_table("physics", 'traffic = "background"'), CONCURRENCY="1") as site:
        upstream, gate = site.sidecar.upstream, site.sidecar.service.kernel.calls.gate
        upstream.gate.clear()
        asked = [asyncio.create_task(site.ask(text="first"))]
        await upstream.reached()
        for waiting, (path, token) in enumerate([("/ai", "physics"), (V1, "physics"), ("/ai", "")], 1):
            asked.append(asyncio.create_task(site.ask(path, user=path, token=token, text=f"{path} {token}")))
            while gate.waiting < waiting:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)
        upstream.gate.set()
        await asyncio.gather(*asked)
        order = [str(call.messages[-1]["content"]) for call in upstream.calls]
    assert [text.partition(" ")[2] for text in order[1:]] == ["", "physics", "physics"]
