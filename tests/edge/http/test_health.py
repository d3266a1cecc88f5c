"""Promises of GET /health."""

from tests.support.http_sidecar import head, running


async def test_health_is_exactly_what_the_contract_says() -> None:
    """Monitors compare the body; it is the contract's, byte for byte in meaning."""
    async with running() as sidecar:
        answer = await sidecar.fetch(head(path="/health", method="GET"))
    assert answer.status == 200
    assert answer.json == {"status": "healthy", "service": "openai-moodle-sidecar"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_health_needs_no_token() -> None:
    """Load balancers have none."""
    async with running(SIDECAR_TOKEN="canary-token", AI_REQUIRE_TOKEN="true") as sidecar:
        assert (await sidecar.fetch(head(path="/health", method="GET"))).status == 200


async def test_health_answers_head_without_a_body() -> None:
    """HEAD is GET without the body."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head("Connection: close", path="/health", method="HEAD"))
        assert (await caller.receive(head=True)).status == 200
        assert await caller.rest() == b""


async def test_health_is_served_while_every_place_is_taken() -> None:
    """A busy sidecar is a healthy one."""
    async with running(QUEUE_SIZE="1") as sidecar:
        with sidecar.service.admission.admit():
            assert (await sidecar.fetch(head(path="/health?probe=1", method="GET"))).status == 200


async def test_health_says_draining_with_503() -> None:
    """While draining, balancers are told to look elsewhere, and the connection is not kept."""
    async with running() as sidecar:
        sidecar.service.drain.begin(5)
        answer = await sidecar.fetch(head(path="/health", method="GET"))
    assert answer.status == 503
    assert answer.json == {"status": "draining", "service": "openai-moodle-sidecar"}
    assert answer.headers["connection"] == "close"
