"""Promises to callers of another HTTP: refused by its version, in our own version and in the shape of the route."""

import pytest

from tests.support.http_sidecar import CHAT, running
from tests.support.protocol_requests import GET_HEALTH, check_refusal

LENGTH = len(CHAT)


@pytest.mark.parametrize("version", ["2.0", "0.9", "1.2", "3.0", "9.9"])
@pytest.mark.parametrize("path", ["/health", "/ai", "/nowhere", "/" + "x" * 300])
async def test_another_version_is_505(version: str, path: str) -> None:
    """On every route, existing or not; the status line has HTTP/1.1, and the connection ends with the reply."""
    async with running() as sidecar, await sidecar.call() as caller:
        request = f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Length: {LENGTH}\r\n\r\n".encode() + CHAT
        await caller.send(request)
        answer = await caller.receive()
        check_refusal(answer, 505, "http_version")
        assert answer.version == "HTTP/1.1"
        assert await caller.rest() == b""
        assert not sidecar.upstream.calls


@pytest.mark.parametrize("version", ["2.0", "0.9", "9.9"])
async def test_a_request_behind_another_version_is_not_answered(version: str) -> None:
    """One 505, and the connection ends: what follows cannot be read in a version that is not known."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(f"GET /ai HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode() + GET_HEALTH)
        check_refusal(await caller.receive(), 505, "http_version")
        assert await caller.rest() == b""


@pytest.mark.parametrize("version", ["2.0", "0.9", "9.9"])
async def test_on_openai_s_addresses_it_has_their_shape(version: str) -> None:
    """Moodle reads `error.message` of every error."""
    async with running() as sidecar:
        request = f"POST /v1/chat/completions HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        answer = await sidecar.fetch(request.encode())
        assert (answer.version, answer.status) == ("HTTP/1.1", 505)
        assert answer.json["error"]["code"] == "http_version"
        assert answer.json["error"]["message"]


async def test_the_preface_of_http_2_is_505() -> None:
    """What a client that knows HTTP/2 alone sends first."""
    async with running() as sidecar:
        answer = await sidecar.fetch(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9)
        check_refusal(answer, 505, "http_version")
        assert answer.version == "HTTP/1.1"


async def test_a_request_line_without_a_version_is_505() -> None:
    """HTTP/0.9 as it was; nobody speaks it who reads JSON."""
    async with running() as sidecar:
        check_refusal(await sidecar.fetch(b"GET /health\r\n\r\n"), 505, "http_version")


@pytest.mark.parametrize("version", ["x.1", "11", "1.11", "2", "1.", ""])
async def test_what_is_no_version_is_400(version: str) -> None:
    """Garbage is not called a version; our own is in the status line all the same."""
    async with running() as sidecar:
        answer = await sidecar.fetch(f"GET /health HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode())
        check_refusal(answer, 400, "bad_request")
        assert answer.version == "HTTP/1.1"
