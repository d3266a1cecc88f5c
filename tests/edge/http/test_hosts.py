"""Promises of the header Host: on loopback a foreign name is refused everywhere (DNS rebinding), elsewhere none is."""

import os
import socket

import pytest

from sidecar.http.server.server import routes_of, serve
from sidecar.http.server.timings import Timings
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, Caller, head, running, settings_of
from tests.support.protocol_requests import check_refusal

EVIL = "attacker.example"
TOKEN = "token-canary"


def request(host: str, *headers: str, path: str = "/ai", method: str = "POST", body: bytes = CHAT) -> bytes:
    """A request for `host`, with the body of a chat."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", *headers)
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


def every_route() -> list[tuple[str, str]]:
    """Each path of the server with each of its methods, as they are now."""
    settings = settings_of()
    routes = routes_of(service_of(settings, HeldUpstream()), settings, None)
    return [(path, method) for path, route in routes for method in (*route.methods, "PUT") if method != "HEAD"]


async def test_a_foreign_name_is_421_on_every_route() -> None:
    """Existing or not, whatever the method, in the shape of the route: no answer, no number, no job."""
    async with running(SIDECAR_TOKEN=TOKEN) as sidecar:
        for path, method in (*every_route(), ("/nowhere", "GET"), ("/v1/nowhere", "GET")):
            answer = await sidecar.fetch(request(EVIL, path=path.replace("{", "").replace("}", ""), method=method))
            assert answer.status == 421, (path, method)
            failure = answer.json.get("error")
            code = failure["code"] if isinstance(failure, dict) else answer.json["code"]
            assert code == "wrong_host", (path, method)
            assert EVIL.encode() not in answer.body
        assert not sidecar.upstream.calls


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8080", "127.77.0.1:80", "10.0.0.5", "[::1]", "[::1]:8080", "127.0.0.1:"),
        *("localhost", "localhost:8080", "LocalHost", "localhost."),
    ],
)
async def test_addresses_and_localhost_are_served(host: str) -> None:
    """Whatever the port: PHP's curl, nginx, monitors and people at the machine."""
    async with running() as sidecar:
        assert (await sidecar.fetch(request(host))).json["success"]


@pytest.mark.parametrize(
    "host",
    [
        *(EVIL, f"{EVIL}:80", "127.0.0.1.attacker.example", "localhost.attacker.example", "localhost:8080.evil", ""),
        *("xlocalhost", "[::1", "[::1].evil", "::1", "[127.0.0.1]", "127.0.0.1:x", "127.0.0.1:8080:80", "127.0.0.1/x"),
        *("127.0.0.1@evil", "0x7f.1", "[localhost]", "2130706433"),
    ],
)
async def test_what_only_looks_like_an_address_is_refused(host: str) -> None:
    """As a browser would send it or not."""
    async with running() as sidecar:
        check_refusal(await sidecar.fetch(request(host)), 421, "wrong_host")


async def test_allowed_names_are_served() -> None:
    """In any case, with any port; their subdomains are other names."""
    async with running(ALLOWED_HOSTS=" ai.internal, Moodle.Example.org ") as sidecar:
        for host in ("ai.internal", "AI.internal:8081", "moodle.example.org", "moodle.example.org.:80", "localhost"):
            assert (await sidecar.fetch(request(host))).json["success"], host
        for host in (EVIL, "x.ai.internal", "internal", "ai.internal,moodle.example.org"):
            check_refusal(await sidecar.fetch(request(host)), 421, "wrong_host")


async def test_the_token_opens_every_name() -> None:
    """No page knows the token: a proxy that passes its own name on keeps working. A wrong token opens nothing."""
    async with running(SIDECAR_TOKEN=TOKEN) as sidecar:
        right, wrong = f"Authorization: Bearer {TOKEN}", "Authorization: Bearer wrong"
        assert (await sidecar.fetch(request("ai.example.org", right))).json["success"]
        assert (await sidecar.fetch(head(right, path="/v1/models", method="GET"))).status == 200
        check_refusal(await sidecar.fetch(request("ai.example.org", wrong)), 421, "wrong_host")
    async with running() as sidecar:  # no token is set: none opens
        check_refusal(await sidecar.fetch(request("ai.example.org", "Authorization: Bearer ")), 421, "wrong_host")


async def test_http_1_0_without_a_host_is_served() -> None:
    """No browser sends it; old health checkers do."""
    async with running() as sidecar:
        assert (await sidecar.fetch(b"GET /health HTTP/1.0\r\n\r\n")).status == 200
        check_refusal(await sidecar.fetch(b"GET /health HTTP/1.0\r\nHost: evil\r\n\r\n"), 421, "wrong_host")


async def test_the_name_in_an_absolute_address_changes_nothing() -> None:
    """The header decides, as it does where a browser writes it."""
    async with running() as sidecar:
        answer = await sidecar.fetch(b"GET http://127.0.0.1/health HTTP/1.1\r\nHost: evil\r\n\r\n")
        check_refusal(answer, 421, "wrong_host")


async def test_beyond_loopback_every_name_is_served() -> None:
    """A compose service is called by its name."""
    async with (
        running(HOST="0.0.0.0", ALLOW_UNAUTHENTICATED="true") as sidecar,
        await Caller.connect("127.0.0.1", sidecar.listening.port) as caller,
    ):
        await caller.send(request("openai-sidecar:8081"))
        assert (await caller.receive()).json["success"]


async def test_a_unix_socket_serves_every_name() -> None:
    """nginx writes what it likes there, and no browser comes that way."""
    settings = settings_of()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"\0sidecar-test-" + os.urandom(8))
        sock.listen()
        name = sock.getsockname()
        brief = Timings(last_request_seconds=0.1)
        async with serve(service_of(settings, HeldUpstream()), settings, sock=sock.dup(), timings=brief):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect(name)
            async with await Caller.over(client) as caller:
                await caller.send(request(EVIL))
                assert (await caller.receive()).json["success"]
