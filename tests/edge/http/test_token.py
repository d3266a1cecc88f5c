"""Promises of the token's guard: who is asked, what is taken, what is told."""

import base64
import socket

import pytest

from sidecar.core.errors import ConfigError
from sidecar.http.server.server import serve
from tests.support.http_sidecar import post, running, settings_of

TOKEN = "canary-token:with-colon"


def basic(password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"moodle:{password}".encode()).decode()


async def test_loopback_needs_no_token() -> None:
    """The deployed communicator sends none, and a 401 would start a process a click."""
    async with running(SIDECAR_TOKEN=TOKEN) as sidecar:
        assert (await sidecar.fetch(post())).status == 200


@pytest.mark.parametrize(
    "header", [f"Authorization: Bearer {TOKEN}", f"authorization: bearer  {TOKEN} ", basic(TOKEN)], ids=str
)
async def test_the_token_is_taken_as_bearer_and_as_the_password_of_basic(header: str) -> None:
    """PHP's curl can only send Basic, from the URL; others send Bearer."""
    async with running(SIDECAR_TOKEN=TOKEN, AI_REQUIRE_TOKEN="true") as sidecar:
        answer = await sidecar.fetch(post(b'{"action": "chat", "content": "x"}', header))
    assert (answer.status, answer.json["success"]) == (200, True)


@pytest.mark.parametrize(
    "header",
    [
        "X-Nothing: here",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer wrong",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: {TOKEN}",
        f"Authorization: Digest {TOKEN}",
        "Authorization: Basic !!!",
        basic(""),
        basic("wrong"),
        "Authorization: Bearer \xff",
    ],
    ids=str,
)
async def test_a_missing_or_wrong_token_is_401(header: str) -> None:
    """It is refused before its body is looked at, and told how to ask."""
    async with running(SIDECAR_TOKEN=TOKEN, AI_REQUIRE_TOKEN="true") as sidecar:
        answer = await sidecar.fetch(post(b"not json", header))
        assert sidecar.upstream.calls == []
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b"canary" not in answer.body


async def test_beyond_loopback_the_token_is_required() -> None:
    """A caller from outside must know it, whatever AI_REQUIRE_TOKEN says."""
    async with running(SIDECAR_TOKEN=TOKEN, HOST="0.0.0.0") as sidecar:
        assert (await sidecar.fetch(post())).status == 401
        assert (await sidecar.fetch(post(b"{}", f"Authorization: Bearer {TOKEN}"))).json["code"] == "invalid_request"


async def test_an_open_sidecar_needs_no_token_where_that_was_allowed() -> None:
    """ALLOW_UNAUTHENTICATED=true is for a firewall or a private network in front."""
    async with running(HOST="0.0.0.0", ALLOW_UNAUTHENTICATED="true") as sidecar:
        assert (await sidecar.fetch(post())).status == 200


async def test_an_inherited_socket_open_to_others_needs_a_token() -> None:
    """HOST says loopback, the inherited socket is not: the socket counts."""
    async with running() as sidecar:
        sock = socket.create_server(("0.0.0.0", 0))
        with pytest.raises(ConfigError, match="SIDECAR_TOKEN"):
            async with serve(sidecar.service, settings_of(), sock=sock):
                pass
        assert sock.fileno() == -1
