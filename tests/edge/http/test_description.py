"""Promises of GET /openapi.json."""

from tests.support.described_replies import FILE
from tests.support.http_sidecar import head, post, running

PATH = "/openapi.json"


async def test_the_description_is_the_shipped_file() -> None:
    """Byte for byte, as JSON."""
    async with running() as sidecar:
        answer = await sidecar.fetch(head(path=PATH, method="GET"))
        assert (answer.status, answer.body) == (200, FILE.read_bytes())
        assert answer.headers["content-type"] == "application/json"


async def test_nobody_needs_a_token_for_it() -> None:
    """It holds no secret, and whoever writes a client has no token yet."""
    async with running(SIDECAR_TOKEN="canary", HOST="0.0.0.0") as sidecar:
        answer = await sidecar.fetch(head(path=PATH, method="GET"))
        assert answer.status == 200
        assert b"canary" not in answer.body


async def test_its_head_has_the_length_alone() -> None:
    """As other addresses do; other methods are refused with those that there are."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head(path=PATH, method="HEAD"))
        answer = await caller.receive(head=True)
        assert (answer.status, int(answer.headers["content-length"])) == (200, FILE.stat().st_size)
        await caller.send(post(path=PATH))
        refused = await caller.receive()
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
