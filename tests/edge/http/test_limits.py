"""Promises of limits by site, token and user at every route that takes work."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sidecar.engine.history.history import History
from tests.support.http_sidecar import Answer, head, post
from tests.support.job_routes import desk
from tests.support.limited_sidecar import CostlyUpstream, LimitedSidecar, limited, token_table

ONE_A_MINUTE = "[user]\nrequests_per_minute = 1"
V1 = "/v1/chat/completions"
PATHS = ["/ai", V1, "/chat/completions", "/openai/deployments/x/chat/completions"]


def code_of(answer: Answer) -> str:
    if answer.status == 200 and "error" not in answer.json:
        return ""
    error: Any = answer.json.get("error")
    return str(error["code"] if isinstance(error, dict) else answer.json.get("code", ""))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("limits", ["[user]", "[site]"])
async def test_a_request_over_the_limit_is_refused_until_the_time_it_names(
    tmp_path: Path, limits: str, path: str
) -> None:
    """429 where statuses are strict, with the sentence and a Retry-After after which the same request is answered."""
    async with limited(tmp_path, f"{limits}\nrequests_per_minute = 2", STRICT_STATUS="true") as site:
        for seconds in (0.0, 7.3):
            site.clock.now += seconds
            assert code_of(await site.ask(path)) == ""
        site.clock.now += 2.0
        refused = await site.ask(path)
        assert (refused.status, code_of(refused), refused.headers["retry-after"]) == (429, "limited", "51")
        assert b"2 times within a minute" in refused.body
        assert len(site.sidecar.upstream.calls) == 2
        site.clock.now += 50.0
        assert code_of(await site.ask(path)) == "limited"
        site.clock.now += 1.0
        assert code_of(await site.ask(path)) == ""


async def test_ai_says_so_with_200(tmp_path: Path) -> None:
    """The deployed plugin takes any other status for a dead transport; Retry-After is there all the same."""
    async with limited(tmp_path, ONE_A_MINUTE) as site:
        await site.ask()
        refused = await site.ask()
    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (200, "limited", "60")
    assert refused.json["error"] == (
        "You have asked the AI once within a minute, which is the limit. Please try again in 60 seconds."
    )


async def test_another_user_and_another_token_go_on(tmp_path: Path) -> None:
    """Each user of each token has limits of its own; requests without a user have only those of site and token."""
    tables = [ONE_A_MINUTE, token_table("physics"), token_table("chemistry")]
    async with limited(tmp_path, *tables, AI_REQUIRE_TOKEN="true") as site:
        for token in ("physics", "chemistry"):
            for user in ("7", "8"):
                assert code_of(await site.ask(user=user, token=token)) == ""
                assert code_of(await site.ask(V1, user=user, token=token)) == "limited"
        assert [code_of(await site.ask(user="", token="physics")) for _ in range(3)] == ["", "", ""]


async def test_a_token_over_its_limit_sends_no_body(tmp_path: Path) -> None:
    """The refusal comes with the headers, before a place in the queue and before the body."""
    async with limited(tmp_path, token_table("physics", "requests_per_minute = 1")) as site:
        await site.ask(V1, token="physics")
        expecting = head(
            "Authorization: Bearer canary-token-physics",
            "Content-Type: application/json",
            "Content-Length: 100000",
            "Expect: 100-continue",
            path=V1,
        )
        site.sidecar.service.admission.places = 0
        refused = await site.sidecar.fetch(expecting)
    assert (refused.status, code_of(refused)) == (429, "limited")
    assert b"physics" in refused.body


async def test_wrong_requests_do_not_count(tmp_path: Path) -> None:
    """Neither what cannot be read, nor what a limit refused, nor what only looks."""
    async with limited(tmp_path, "[site]\nrequests_per_minute = 2") as site:
        for raw in (post(b"nonsense"), post(b"{}", path=V1), head(path="/v1/models", method="GET")):
            await site.sidecar.fetch(raw)
        assert [code_of(await site.ask()) for _ in range(4)] == ["", "", "limited", "limited"]
        site.clock.now += 60.0
        assert code_of(await site.ask()) == ""


@pytest.mark.parametrize("path", ["/ai", V1])
async def test_calls_at_once_are_those_under_way(tmp_path: Path, path: str) -> None:
    """One question at a time; the next is taken once the first is answered, or its caller has left."""
    async with limited(tmp_path, "[user]\nat_once = 1") as site:
        upstream = site.sidecar.upstream
        upstream.gate.clear()
        first = asyncio.create_task(site.ask(path))
        await upstream.reached()
        refused = await site.ask(path)
        assert (code_of(refused), refused.headers["retry-after"]) == ("limited", "1")
        assert b"one question under way" in refused.body
        upstream.gate.set()
        assert code_of(await first) == code_of(await site.ask(path)) == ""
        upstream.gate.clear()
        async with await site.sidecar.call() as caller:
            await caller.send(post(json.dumps({"action": "chat", "content": "x", "user_id": "7"}).encode()))
            await upstream.reached(3)
        await upstream.left.wait()
        upstream.gate.set()
        async with asyncio.timeout(20):
            while code_of(await site.ask(path)):  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)


async def test_a_stream_counts_until_its_end(tmp_path: Path) -> None:
    """And is refused before its first event, in OpenAI's shape."""
    async with limited(tmp_path, "[user]\nat_once = 1") as site:
        upstream = site.sidecar.upstream
        upstream.gate.clear()
        async with await site.sidecar.call() as caller:
            body = {"messages": [{"role": "user", "content": "x"}], "user": "7", "stream": True}
            await caller.send(post(json.dumps(body).encode(), "Connection: close", path=V1))
            while not upstream.calls:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)
            refused = await site.ask(V1, stream=True)
            assert (refused.status, refused.json["error"]["code"]) == (429, "limited")
            assert refused.headers["x-should-retry"] == "false"
            upstream.gate.set()
            await caller.receive(head=True)
            assert b"[DONE]" in await caller.rest()
        assert code_of(await site.ask(V1)) == ""


async def day_of(site: LimitedSidecar, count: int, **more: Any) -> list[str]:
    return [code_of(await site.ask(text=f"question {number}", **more)) for number in range(count)]


@pytest.mark.parametrize("path", ["/ai", V1])
async def test_the_days_tokens_end_with_the_day(tmp_path: Path, path: str) -> None:
    """The request after the one that reached the number is refused, until midnight and not a minute longer."""
    async with limited(tmp_path, "[user]\ntokens_per_day = 20", upstream=CostlyUpstream()) as site:
        site.wall.now += 12 * 3600 + 0.5
        assert await day_of(site, 3, path=path) == ["", "", "limited"]
        refused = await site.ask(path)
        assert refused.headers["retry-after"] == str(12 * 3600)
        assert b"used up the AI's answers for today. Please try again in 12 hours." in refused.body
        site.wall.now += 12 * 3600 - 1
        assert code_of(await site.ask(path)) == "limited"
        site.wall.now += 1
        assert code_of(await site.ask(path)) == ""


async def test_what_is_joined_or_cached_costs_no_tokens(tmp_path: Path) -> None:
    """It counts as a request all the same; whose call it was pays for it, also after that caller has left."""
    site_wide = "[site]\nrequests_per_minute = 6\n[user]\ntokens_per_day = 10"
    async with limited(tmp_path, site_wide, upstream=CostlyUpstream()) as site:
        upstream = site.sidecar.upstream
        shared: dict[str, Any] = {"action": "analyze", "text": "one text"}
        upstream.gate.clear()
        async with await site.sidecar.call() as first:
            body = {"action": "analyze", "content": "one text", "user_id": "1"}
            await first.send(post(json.dumps(body).encode()))
            await upstream.reached()
            others = [asyncio.create_task(site.ask(user=user, **shared)) for user in ("2", "3")]
            while site.sidecar.service.kernel.flights.joined < 2:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)
        upstream.gate.set()
        assert [code_of(await other) for other in others] == ["", ""]
        assert code_of(await site.ask(user="4", **shared)) == ""
        assert [code_of(await site.ask(user=user)) for user in ("1", "2", "2")] == ["limited", "", "limited"]
        assert code_of(await site.ask(user="5")) == ""
        assert code_of(await site.ask(user="6")) == "limited"
        assert len(upstream.calls) == 3


async def test_a_provider_that_names_no_tokens_is_estimated(tmp_path: Path) -> None:
    """Four characters a token, of whole answers and of streams: nobody asks for free."""
    async with limited(tmp_path, "[user]\ntokens_per_day = 100") as site:
        long = "word " * 80
        assert code_of(await site.ask(V1, text=long)) == ""
        assert code_of(await site.ask(V1)) == "limited"
        body = {"messages": [{"role": "user", "content": long}], "user": "8", "stream": True}
        async with await site.sidecar.call() as caller:
            await caller.send(post(json.dumps(body).encode(), "Connection: close", path=V1))
            assert b"[DONE]" in await caller.rest()
        assert code_of(await site.ask(V1, user="8")) == "limited"


@pytest.mark.parametrize("jobs", [1, 3])
async def test_a_job_counts_where_it_is_submitted(tmp_path: Path, jobs: int) -> None:
    """A list counts as that many; states, results and cancelling are free."""
    limits = [f"[user]\nrequests_per_minute = {2 * jobs}", token_table("physics")]
    async with desk() as routes, limited(tmp_path, *limits, jobs=routes.store) as site:

        async def submit(number: int) -> Answer:
            if jobs == 1:
                return await site.ask("/jobs", text=f"text {number}", token="physics")
            entries = [
                {"action": "analyze", "content": f"text {number} {entry}", "user_id": "7"} for entry in range(jobs)
            ]
            raw = json.dumps({"jobs": entries}).encode()
            return await site.sidecar.fetch(post(raw, "Authorization: Bearer canary-token-physics", path="/jobs"))

        taken = [await submit(number) for number in range(2)]
        assert [answer.status for answer in taken] == [202, 202]
        refused = await submit(2)
        assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (429, "limited", "60")
        assert await routes.held() == 2 * jobs
        name = (taken[0].json.get("job_id") or taken[0].json["jobs"][0]["job_id"]).encode()
        assert (await routes.run(name.decode())).request.token == "physics"
        for method, path, body in (
            ("GET", f"/jobs/{name.decode()}", b""),
            ("POST", "/jobs/status", b'{"job_ids": ["%s"]}' % name),
            ("DELETE", f"/jobs/{name.decode()}", b""),
        ):
            raw = post(body, "Authorization: Bearer canary-token-physics", path=path).replace(b"POST", method.encode())
            assert (await site.sidecar.fetch(raw)).status == 200
        site.clock.now += 60.0
        assert (await submit(2)).status == 202


async def test_jobs_are_not_under_way(tmp_path: Path) -> None:
    """A user with a question open may submit a job, whoever's limit is reached."""
    once = "at_once = 1"
    async with desk() as routes, limited(tmp_path, "[user]", once, "[site]", once, jobs=routes.store) as site:
        upstream = site.sidecar.upstream
        upstream.gate.clear()
        first = asyncio.create_task(site.ask())
        await upstream.reached()
        assert code_of(await site.ask()) == "limited"
        assert [(await site.ask("/jobs", text=f"{number}")).status for number in range(2)] == [202, 202]
        upstream.gate.set()
        assert code_of(await first) == ""


async def test_the_same_id_at_two_tokens_is_two_users(tmp_path: Path) -> None:
    """In the queue, whose turns they take apart, and in the cache, where each has the other's answer."""
    tables = token_table("physics"), token_table("chemistry")
    async with limited(tmp_path, *tables, CONCURRENCY="1") as site:
        upstream, gate = site.sidecar.upstream, site.sidecar.service.kernel.calls.gate
        upstream.gate.clear()
        asked = [asyncio.create_task(site.ask(text="first", token="physics"))]
        await upstream.reached()
        for number, token in enumerate(["physics"] * 5 + ["chemistry"], 1):
            asked.append(asyncio.create_task(site.ask(text=f"{token} {number}", token=token)))
            while gate.waiting < number:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0)
        upstream.gate.set()
        await asyncio.gather(*asked)
        order = [str(call.messages[-1]["content"]) for call in upstream.calls]
        assert order.index("chemistry 6") <= 2
        before = len(upstream.calls)
        for token in ("physics", "chemistry"):
            await site.ask(text="one text", action="analyze", token=token)
        assert len(upstream.calls) == before + 1


async def test_the_log_names_limit_and_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By name, on refusals and on answers; no token, hash of one or user is in it."""
    caplog.set_level(logging.INFO, "sidecar")
    async with limited(tmp_path, ONE_A_MINUTE, token_table("physics")) as site:
        for path in ("/ai", V1):
            await site.ask(path, user="canary-user", token="physics")
        await site.ask(V1, user="canary-user", token="gone")
    found = [vars(record)["fields"] for record in caplog.records]
    assert [(line.get("token"), line["code"], line.get("limit")) for line in found] == [
        ("physics", "ok", None),
        ("physics", "limited", "user.requests_per_minute"),
        (None, "unauthorized", None),
    ]
    assert "canary" not in str(found)


async def test_the_dashboard_counts_users_over_their_limit(tmp_path: Path) -> None:
    """A runaway script is one user of many refusals, and the same id at another token is another user."""
    async with limited(tmp_path, ONE_A_MINUTE, token_table("physics")) as site:
        history = History(site.sidecar.service)
        answers = [await site.ask(token=token) for token in ("physics",) * 4 + ("",) * 2]
        assert [code_of(answer) for answer in answers] == ["", *["limited"] * 3, "", "limited"]
        history.tick()
        assert [user.count for user in history.snapshot().users] == [3, 1]


async def test_without_the_file_nothing_is_counted(tmp_path: Path) -> None:
    """An empty file neither."""
    async with limited(tmp_path) as site:
        assert [code_of(await site.ask()) for _ in range(20)] == [""] * 20
        assert len(site.quotas.counters) == 0
