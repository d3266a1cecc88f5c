"""Promises of GET /ready."""

import asyncio
from typing import Any, NamedTuple

import pytest

from sidecar.core.errors import UpstreamUnreachable
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.http.app import application
from sidecar.http.router import Routes
from sidecar.http.routes.ready import ready_route
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Caller, Sidecar, head, post, running, serving, settings_of

WELL = {"server": "ok", "provider": "ok", "redis": "off", "worker": "off"}


class Health(NamedTuple):
    """Health of jobs as a test wants it."""

    redis: str
    workers: int


def get(query: str = "") -> bytes:
    return head(path=f"/ready{query}", method="GET")


async def both(sidecar: Sidecar) -> tuple[int, int, Any]:
    """The plain status, the strict one, and the checks."""
    plain, strict = [await sidecar.fetch(get(query)) for query in ("", "?strict=1")]
    assert plain.json["checks"] == strict.json["checks"]
    assert plain.json["ready"] is (plain.status == 200)
    return plain.status, strict.status, plain.json["checks"]


async def test_a_server_at_rest_is_ready() -> None:
    """For balancers, which have no token; nothing is called for it."""
    async with running(SIDECAR_TOKEN="canary-token", AI_REQUIRE_TOKEN="true") as sidecar:
        assert await both(sidecar) == (200, 200, WELL)
        assert (await sidecar.fetch(get("?strict=0"))).headers["cache-control"] == "no-store"
        assert sidecar.upstream.calls == []


async def test_a_draining_server_is_not_ready() -> None:
    """Its balancer sends the callers to others."""
    async with running() as sidecar:
        sidecar.service.drain.begin(5)
        assert await both(sidecar) == (503, 503, WELL | {"server": "draining"})


async def test_a_server_is_ready_once_the_first_answer_is_as_fast_as_the_second() -> None:
    """While the provider's client is loaded, requests wait: other nodes are quicker."""
    async with running() as sidecar:
        loaded = asyncio.get_running_loop().create_future()
        sidecar.service.kernel.calls.open_after(loaded)
        assert await both(sidecar) == (503, 503, WELL | {"server": "starting"})
        loaded.set_result(None)
        await asyncio.sleep(0)
        assert await both(sidecar) == (200, 200, WELL)


async def test_a_provider_that_is_down_takes_no_node_out() -> None:
    """It is down for all nodes: a balancer without any node would answer worse than the sidecar does."""
    upstream = HeldUpstream()
    upstream.failure = UpstreamUnreachable()
    async with running(upstream, CONCURRENCY="1", REQUEST_TIMEOUT="0.3") as sidecar:
        while sidecar.service.kernel.calls.limit.breaker.state == "closed":
            await sidecar.fetch(post())
        assert await both(sidecar) == (200, 503, WELL | {"provider": "down"})


@pytest.mark.parametrize(("down", "check"), [(0, "ok"), (1, "partly"), (2, "down")])
async def test_each_of_several_providers_counts(down: int, check: str) -> None:
    """One that is down is passed over; the check says so."""
    providers = [Provider(HeldUpstream(), concurrency=1, name=name) for name in ("a", "b")]
    for provider in providers[:down]:
        provider.limit.breaker.opened_by = UpstreamUnreachable()
    service = service_of(settings_of(), Pool(providers))
    answer = await ready_at(Routes({"/ready": ready_route(service)}))
    assert (answer.status, answer.json["checks"]["provider"]) == (200, check)


@pytest.mark.parametrize(
    ("health", "redis", "worker"),
    [(Health("up", 2), "ok", "ok"), (Health("up", 0), "ok", "down"), (Health("down", 0), "down", "down")],
)
@pytest.mark.parametrize("strict", [False, True])
async def test_jobs_that_wait_take_no_node_out(health: Health, redis: str, worker: str, *, strict: bool) -> None:
    """Redis and workers are the same for all nodes, and /ai does without both."""
    service = service_of(settings_of(), HeldUpstream())
    routes = Routes({"/ready": ready_route(service, lambda: health)})
    answer = await ready_at(routes, "?strict=1" * strict)
    assert answer.json["checks"] == WELL | {"redis": redis, "worker": worker}
    assert answer.status == (503 if strict and "down" in (redis, worker) else 200)


async def test_it_answers_head_without_a_body() -> None:
    """Some balancers send nothing else."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Connection: close", path="/ready", method="HEAD"))
        assert (await caller.receive(head=True)).status == 200
        assert await caller.rest() == b""


async def ready_at(routes: Routes, query: str = "") -> Answer:
    """The reply of these routes."""
    service = service_of(settings_of(), HeldUpstream())
    async with serving(application(routes, service)) as (host, port), await Caller.connect(host, port) as caller:
        await caller.send(get(query))
        return await caller.receive()
