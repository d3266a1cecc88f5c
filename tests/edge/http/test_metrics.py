"""Promises of GET /metrics: who sees it, in which format, how many series there can be, and whose words are in none."""

import asyncio
import json

import pytest

from sidecar.core.errors import UpstreamUnreachable
from sidecar.http.app import application
from sidecar.http.router import Routes
from sidecar.http.routes.metrics import metrics_route
from sidecar.http.routes.ops import health_route
from sidecar.metrics.exposition import OPENMETRICS, TEXT, server_exposition
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, Caller, Sidecar, head, post, running, serving, settings_of
from tests.support.metrics_page import Page, scrape

MOST_SERIES = 1000
"""Series of one server with one provider, at most."""
PATHS = ("/ai", "/v1/chat/completions", "/chat/completions", "/openai/deployments/{}/chat/completions", "/jobs")
METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "{}")


async def test_a_burst_is_in_the_numbers() -> None:
    """While one call is under way and another waits, and after both."""
    upstream = HeldUpstream(held=True)
    async with running(upstream, CONCURRENCY="1") as sidecar:
        callers = [asyncio.create_task(sidecar.fetch(post())) for _ in range(2)]
        await upstream.reached()
        while sidecar.service.kernel.calls.gate.waiting < 1:  # noqa: ASYNC110 - the wire says nothing of it
            await asyncio.sleep(0)
        page = Page.of((await sidecar.fetch(scrape())).body)
        assert page.value("sidecar_places_held") == 2
        assert page.value("sidecar_body_bytes_held") == 2 * len(CHAT)
        assert page.value("sidecar_queue_calls") == 1
        assert page.value("sidecar_provider_in_flight", provider="default") == 1
        assert page.value("sidecar_provider_ceiling", provider="default") == 1
        assert page.value("sidecar_connections") == 3
        upstream.gate.set()
        await asyncio.gather(*callers)
        page = Page.of((await sidecar.fetch(scrape())).body)
        assert page.value("sidecar_requests_total", route="ai", action="chat", code="ok") == 2
        assert page.value("sidecar_places_held") == page.value("sidecar_queue_calls") == 0


@pytest.mark.parametrize("openmetrics", [True, False])
async def test_the_scraper_chooses_the_format(*, openmetrics: bool) -> None:
    """By its header Accept, as Prometheus sends it; the page can be read as what it is called."""
    async with running() as sidecar:
        await sidecar.fetch(post())
        answer = await sidecar.fetch(scrape(openmetrics=openmetrics))
        assert answer.headers["content-type"] == (OPENMETRICS if openmetrics else TEXT)
        assert answer.headers["cache-control"] == "no-store"
        page = Page.of(answer.body, openmetrics=openmetrics)
        assert page.value("sidecar_requests_total", route="ai", action="chat", code="ok") == 1


async def test_request_ids_are_shown_to_a_scraper_that_wants_them() -> None:
    """Callers choose them, so that no page has them unless its address says so."""
    async with running() as sidecar:
        await sidecar.fetch(post(CHAT, "X-Request-ID: canary-7"))
        for path, shown in (("/metrics", False), ("/metrics?exemplars=1", False), ("/metrics?exemplars=true", True)):
            answer = await sidecar.fetch(head("Accept: application/openmetrics-text", path=path, method="GET"))
            assert (b"canary-7" in answer.body) is shown


@pytest.mark.parametrize(
    ("token", "header", "code"),
    [
        ("", (), 401),
        ("s3cret", (), 401),
        ("s3cret", ("Authorization: Bearer wrong",), 401),
        ("s3cret", ("Authorization: Bearer s3cret",), 200),
    ],
)
async def test_strangers_need_the_token(token: str, header: tuple[str, ...], code: int) -> None:
    """From another machine, as on /status."""
    service = service_of(settings_of(), HeldUpstream())
    metrics = server_exposition(service, client="aiohttp")
    routes = Routes({"/metrics": metrics_route(metrics, token, local=lambda _: False)})
    async with serving(application(routes, service)) as (host, port), await Caller.connect(host, port) as caller:
        await caller.send(scrape(*header))
        assert (await caller.receive()).status == code


async def test_a_server_without_metrics_has_no_such_page() -> None:
    """Neither the page nor a fault."""
    service = service_of(settings_of(), HeldUpstream())
    routes = Routes({"/metrics": metrics_route(None, ""), "/health": health_route(service)})
    async with serving(application(routes, service)) as (host, port), await Caller.connect(host, port) as caller:
        await caller.send(scrape())
        assert (await caller.receive()).status == 404


def odd_requests(word: str) -> list[bytes]:
    """Return requests with a word of the caller's in every place that a caller can fill."""
    chat = {"messages": [{"role": "user", "content": word}], "model": word, "user": word, word: word}
    bodies = [
        json.dumps({"action": word, "content": word, "user_id": word, word: word}).encode(),
        *(
            json.dumps({"action": action, "content": word, "context": word, "user_id": word}).encode()
            for action in ("chat", "summarize", "analyze")
        ),
        json.dumps(chat).encode(),
        word.encode(),
    ]
    headers = (f"X-Request-ID: {word}", f"User-Agent: {word}", f"{word}: {word}", f"Authorization: Bearer {word}")
    paths = [path.format(word) for path in PATHS]
    found = [post(body, *headers, path=path) for path in paths for body in bodies]
    found += [post(bodies[-2], *headers, path=f"{path}?action={word}&deadline={word}") for path in paths]
    found += [post(bodies[0], *headers, path="/ai", kind=f"text/{word}")]
    nowhere = [f"/{word}", f"/v1/{word}", f"/jobs/{word}", f"/v1/models/{word}", f"/metrics/{word}"]
    found += [
        head(*headers, "Content-Length: 0", path=path, method=method.format(word))
        for path in ("/ai", "/metrics", "/status", "/health", "/v1/chat/completions", *nowhere)
        for method in METHODS
        if method != "HEAD"
    ]
    return found


async def said(sidecar: Sidecar, word: str) -> None:
    for raw in odd_requests(word):
        await sidecar.fetch(raw)


async def test_odd_input_makes_no_series_of_its_own() -> None:
    """Actions, users, paths, methods, headers and models that nobody knows are in no label, and make no series."""
    async with running(AI_REQUIRE_TOKEN="false") as sidecar:
        await said(sidecar, "canaryONE")
        sidecar.upstream.failure = UpstreamUnreachable()
        await said(sidecar, "canaryTWO")
        before = Page.of((await sidecar.fetch(scrape())).body).series()
        await said(sidecar, "canaryTHREE")
        sidecar.upstream.failure = None
        answer = await sidecar.fetch(scrape(path="/metrics?canary=canaryFOUR"))
        after = Page.of(answer.body).series()
    assert b"canary" not in answer.body
    new = {name for name, labels in after - before if not dict(labels).get("code", "").startswith("upstream")}
    assert new == set()
    assert len(after) <= MOST_SERIES
    counted = {dict(labels)["code"] for name, labels in after if name == "sidecar_requests_total"}
    assert counted >= {"ok", "invalid_json", "invalid_request", "unknown_action", "method_not_allowed", "not_found"}
