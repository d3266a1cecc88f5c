"""Counters of limits in Redis: what its scripts admit, held against this process's counters, and two sidecars at one.

The property runs on fakeredis, whose keys the test ages; the rest on a real Valkey.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio import ConnectionPool

from sidecar.core.quotas import Quota, Scope
from sidecar.engine.quotas.counters import Counters
from sidecar.engine.quotas.ports import Count
from sidecar.engine.quotas.shared import LIMIT_SECONDS, Shared
from sidecar.jobs.shared_counters import SharedCounters
from tests.support.clocks import Clock
from tests.support.http_sidecar import post, settings_of
from tests.support.limited_sidecar import CostlyUpstream, LimitedSidecar, limited, token_table
from tests.support.valkey import Valkey

DAY = "2027-01-31"
STEP = 5
"""Seconds: each pause is a multiple, so that the milliseconds that really pass decide nothing."""
_AGE = """
for _, key in ipairs(redis.call('KEYS', '*:minute')) do
  local aged = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  for _, at in ipairs(aged) do redis.call('RPUSH', key, string.format('%.0f', at - ARGV[1])) end
end
for _, key in ipairs(redis.call('KEYS', '*:running')) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -ARGV[1], id) end
end
"""
quotas = st.builds(
    Quota,
    requests_per_minute=st.integers(0, 4),
    at_once=st.integers(0, 3),
    tokens_per_day=st.sampled_from([0, 21]),
)


DAILY = Quota(tokens_per_day=21)
ASK = ("ask", "anna", 1, 0)


def fake() -> SharedCounters:
    pool: Any = ConnectionPool(
        connection_class=FakeAsyncRedisConnection, server=FakeServer(server_type="valkey"), server_type="valkey"
    )
    return SharedCounters(settings_of(REDIS_URL="redis://fake"), redis=ArqRedis(pool))


async def compare(site: Quota, user: Quota, steps: list[tuple[str, str, int, int]]) -> None:
    clock, running = Clock(), list[tuple[str, list[str], list[str]]]()
    here, there = Counters(clock=clock), fake()
    age = there.redis.register_script(_AGE)
    here.turn(DAY)
    for number, (verb, name, count, steps_waited) in enumerate(steps):
        scopes = [
            Scope(kind="site", name="site", quota=site, count=count),
            Scope(kind="user", name=f"user:{name}", quota=user, count=count),
        ]
        if verb == "wait":
            seconds = STEP * steps_waited
            clock.now += seconds
            # A request under way would end with its lease: it is renewed, as a sidecar does.
            await there.renew({ident: names for ident, names, _ in running})
            await age([], [seconds * 1000])
            await there.renew({ident: names for ident, names, _ in running})
        elif verb == "end" and running:
            ident, names, held = running.pop()
            here.release(held)
            await there.exchange({ident: names}, [])
        elif verb == "spend":
            here.spend(f"user:{name}", 7 * count, user=True)
            await there.add(DAY, {f"user:{name}": 7 * count})
        elif verb == "ask":
            expected = here.refusal(scopes, 86_400.0 * 2)
            [found] = await there.exchange({}, [Count(scopes, DAY, str(number), hold=True)])
            assert (found is None) == (expected is None), (found, expected)
            if expected is None:
                names = [scope.name for scope in scopes if scope.quota.at_once]
                running.append((str(number), names, here.take(scopes, hold=True)))
            elif found is not None:
                assert found.field == expected.field
                if found.field == "requests_per_minute":
                    assert found.seconds == pytest.approx(expected.seconds, abs=STEP / 2)
    await there.aclose()


@settings(max_examples=40)
@given(
    site=quotas,
    user=quotas,
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "end", "wait", "spend"]),
            st.sampled_from(["anna", "ben"]),
            st.integers(1, 6),
            st.integers(0, 14),
        ),
        max_size=25,
    ),
)
@example(site=Quota(), user=DAILY, steps=[("spend", "anna", 2, 0), ASK, ("spend", "anna", 1, 0), ASK])
def test_the_scripts_admit_what_this_process_would(
    site: Quota, user: Quota, steps: list[tuple[str, str, int, int]]
) -> None:
    """Whether counters are here or in Redis, the same is admitted, and for the same time refused."""
    asyncio.run(compare(site, user, steps))


@asynccontextmanager
async def two(
    server: Valkey, folder: Path, *tables: str, limit: float = 20.0, **more: Any
) -> AsyncIterator[list[LimitedSidecar]]:
    """Two sidecars whose counters are in one Valkey, for whose answers a busy machine has time."""
    async with AsyncExitStack() as stack:
        sites = []
        for _ in range(2):
            store = SharedCounters(settings_of(REDIS_URL=server.url))
            stack.push_async_callback(store.aclose)
            sites.append(
                await stack.enter_async_context(limited(folder, *tables, shared=Shared(store, limit=limit), **more))
            )
        yield sites


async def codes(*sites: LimitedSidecar, **more: Any) -> list[str]:
    return [(await site.ask(**more)).json.get("code", "") for site in sites]


async def test_two_sidecars_count_together(server: Valkey, tmp_path: Path) -> None:
    """By site, token and user; what one refuses is counted at neither."""
    tables = ["[user]\nrequests_per_minute = 3", token_table("physics", "requests_per_minute = 5")]
    async with two(server, tmp_path, *tables) as (one, other):
        assert await codes(one, other, one, other, one, token="physics") == ["", "", "", "limited", "limited"]
        assert await codes(other, one, other, user="8", token="physics") == ["", "", "limited"]
        assert await codes(one, other, user="7") == ["", ""]
        refused = await other.ask(user="9", token="physics")
        assert 50 <= int(refused.headers["retry-after"]) <= 60
        async with server.client() as client:
            keys = await client.keys("*")
            assert {key.partition("limit:")[2].partition(":")[0] for key in keys} == {"token", "user"}
            assert all([0 < await client.ttl(key) <= 60 for key in keys])


async def test_a_burst_at_both_is_counted_to_the_last_one(server: Valkey, tmp_path: Path) -> None:
    """200 of the same moment, before anything is connected: as many are answered as the site may ask."""
    async with two(server, tmp_path, "[site]\nrequests_per_minute = 50\n[user]\nat_once = 1") as (one, other):
        asked = [site.ask(user=str(number)) for number in range(100) for site in (one, other)]
        found = [answer.json.get("code", "") for answer in await asyncio.gather(*asked)]
        assert (found.count(""), found.count("limited")) == (50, 150)


async def test_calls_at_once_are_those_of_both(server: Valkey, tmp_path: Path) -> None:
    """A place is free for either as soon as the reply is there."""
    async with two(server, tmp_path, "[user]\nat_once = 1") as (one, other):
        for _ in range(20):
            assert await codes(one, other) == ["", ""]
        upstream = one.sidecar.upstream
        upstream.gate.clear()
        first = asyncio.create_task(one.ask())
        await upstream.reached(21)
        assert await codes(other) == ["limited"]
        upstream.gate.set()
        assert (await first).json["success"]
        assert await codes(other) == [""]


async def test_the_days_tokens_are_those_of_both_and_stay(server: Valkey, tmp_path: Path) -> None:
    """A restarted sidecar knows them too."""
    for expected in (["", "", "limited"], ["limited"]):
        async with two(server, tmp_path, "[user]\ntokens_per_day = 20", upstream=CostlyUpstream()) as (one, other):
            found = []
            for site in (one, other, one)[: len(expected)]:
                found += await codes(site)
                await site.quotas.settle()
            assert found == expected


async def test_no_user_and_no_token_is_in_redis(server: Valkey, tmp_path: Path) -> None:
    """Users are keyed hashes there, tokens their names."""
    tables = ["[user]\nrequests_per_minute = 3\nat_once = 2\ntokens_per_day = 20", token_table("physics")]
    async with two(server, tmp_path, *tables, upstream=CostlyUpstream()) as (one, _):
        upstream = one.sidecar.upstream
        upstream.gate.clear()
        first = asyncio.create_task(one.ask(user="canary-user", token="physics"))
        await upstream.reached()
        async with server.client() as client:
            dump = await client.keys("*")
        upstream.gate.set()
        await first
        await one.quotas.settle()
        async with server.client() as client:
            dump += await client.keys("*")
    assert any(":running" in key for key in dump)
    assert any(":spent:" in key for key in dump)
    assert "canary" not in str(dump)


async def test_keys_end_by_themselves_and_stay_short(server: Valkey) -> None:
    """Those of a user who never comes back: a minute, two days for tokens; a request that ended is not renewed."""
    store = SharedCounters(settings_of(REDIS_URL=server.url))
    redis: Any = store.redis
    names = {one: f"moodle-sidecar:limit:site:{one}" for one in ("minute", "running", f"spent:{DAY}")}
    await redis.rpush(names["minute"], *range(50))
    site = Scope(kind="site", name="site", quota=Quota(requests_per_minute=3, at_once=3, tokens_per_day=100))
    assert await store.exchange({}, [Count([site], DAY, ident, hold=True) for ident in ("one", "two")]) == [None] * 2
    await store.add(DAY, {"site": 7})
    await store.exchange({"one": ["site"]}, [])
    await store.renew({"one": ["site"], "two": ["site"]})
    assert await redis.zrange(names["running"], 0, -1) == [b"two"]
    assert await redis.llen(names["minute"]) == 3
    assert set(await redis.keys("*limit:*")) == {name.encode() for name in names.values()}
    assert [0 < await redis.ttl(name) <= 60 for name in (names["minute"], names["running"])] == [True] * 2
    assert 86_400 < await redis.ttl(names[f"spent:{DAY}"]) <= 2 * 86_400
    await store.aclose()


@pytest.mark.parametrize("how", ["killed", "silent"])
async def test_without_valkey_nobody_is_refused(
    server: Valkey, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log; no request waits longer than 50 ms for it; limits hold again once it is back."""
    caplog.set_level(logging.INFO, "sidecar")
    async with two(server, tmp_path, "[user]\nrequests_per_minute = 1", limit=LIMIT_SECONDS) as (one, _):
        async with asyncio.timeout(20):
            while await codes(one) == [""]:  # noqa: ASYNC110 - a busy machine may be too slow even now
                await asyncio.sleep(0.05)
        one.quotas.counters.forget_refusals()
        if how == "killed":
            await server.kill()
        else:
            server.pause()
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert await codes(*[one] * 10) == [""] * 10
        assert loop.time() - started < 5
        assert [record.message for record in caplog.records].count("limits_open") == 1
        if how == "killed":
            await server.start()
        else:
            server.resume()
        async with asyncio.timeout(20):
            while await codes(one) == [""]:  # noqa: ASYNC110 - the wire says nothing of it
                await asyncio.sleep(0.05)
        assert [record.message for record in caplog.records].count("limits_back") == 1


async def test_jobs_of_many_users_are_one_question_to_redis(server: Valkey, tmp_path: Path) -> None:
    """A thousand of them, all or none."""
    from tests.support.job_routes import opened

    async with (
        opened(server) as desk,
        two(server, tmp_path, "[user]\nrequests_per_minute = 2", jobs=desk.store) as (
            one,
            other,
        ),
    ):
        entries = [{"action": "analyze", "content": f"t{n}", "user_id": f"u{n % 500}"} for n in range(1000)]
        for site, entered, status in ((one, entries, 202), (other, entries[:1], 429), (other, entries, 429)):
            answer = await site.sidecar.fetch(post(json.dumps({"jobs": entered}).encode(), path="/jobs"))
            assert answer.status == status, answer
