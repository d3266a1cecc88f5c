"""Promises of GET /dashboard and its events: who sees them, how many pages, and that no page holds anything up."""

import asyncio
import base64
import hashlib
import re
import socket
import time

import pytest

from sidecar.core.errors import Overloaded
from sidecar.http.dashboard.feed import Feed
from sidecar.http.routes import dashboard
from sidecar.http.server.server import serve
from sidecar.http.server.timings import Timings
from tests.support.dashboards import EVENTS, Board, Events, board
from tests.support.http_sidecar import PATIENCE, Caller, head, post, running, settings_of


async def opened(site: Board, *headers: str) -> tuple[Caller, Events]:
    """A page that has read its first two events."""
    caller = await site.call(*headers)
    events = Events(caller)
    assert (await events.head())[0] == 200
    first, second = await events.next(), await events.next()
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == ("past", "now")
    return caller, events


async def pages(feed: Feed, count: int) -> None:
    """Return once so many pages are open."""
    async with asyncio.timeout(PATIENCE):
        while len(feed.pages) != count:  # noqa: ASYNC110 - a caller's end reaches the server through the kernel
            await asyncio.sleep(0)


async def test_the_page_may_load_its_own_style_and_script_alone() -> None:
    """By their hashes: no inline handler, no outside asset, no frame around it; no copy is stored."""
    async with board(local=False) as site, await site.call(path="/dashboard") as caller:
        page = await caller.receive()
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    for kind in ("style", "script"):
        found = re.findall(rf"<{kind}[^>]*>(.*?)</{kind}>".encode(), page.body, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in found]
        assert policy.pop(f"{kind}-src") == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(rb"\bstyle=|\bon[a-z]+=\"|https?://(?!www\.w3\.org/2000/svg)|innerHTML|Storage", page.body)


async def test_the_pages_head_has_the_length_alone() -> None:
    """And other methods are refused with those that there are."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head(path="/dashboard", method="HEAD"))
        assert int((await caller.receive(head=True)).headers["content-length"]) > 10_000
        await caller.send(post(path="/dashboard"))
        refused = await caller.receive()
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("token", "local", "header", "code"),
    [
        ("", True, (), 200),
        ("s3cret", True, (), 200),
        ("", False, (), 401),
        ("s3cret", False, (), 401),
        ("s3cret", False, ("Authorization: Bearer wrong",), 401),
        ("s3cret", False, ("Authorization: Bearer s3cret",), 200),
        ("", True, ("X-Forwarded-For: 10.0.0.1",), 401),
        ("", True, ("Via: 1.1 proxy",), 401),
        ("", True, ("X-Forwarded-Proto: https",), 401),
        ("s3cret", True, ("X-Real-IP: 10.0.0.1",), 401),
        ("s3cret", True, ("Forwarded: for=10.0.0.1", "Authorization: Bearer s3cret"), 200),
    ],
)
async def test_who_sees_the_numbers(token: str, *, local: bool, header: tuple[str, ...], code: int) -> None:
    """This machine, and others with the token; a proxy's caller is not this machine."""
    async with board(token, local=local) as site, await site.call(*header) as caller:
        if code == 200:
            assert (await Events(caller).head())[0] == code
        else:
            refused = await caller.receive()
            assert (refused.status, refused.json["code"]) == (code, "unauthorized")
            assert not site.feed.pages


async def test_events_come_one_a_tick() -> None:
    """The past first; then each tick's snapshot, to all pages alike."""
    async with board() as site:
        (first, events), (second, others) = await opened(site), await opened(site)
        for number in range(3):
            for _ in range(number):
                site.service.log.refused(Overloaded(cause="late"), route="ai", request_id="r")
            site.feed.tick()
            now = await events.next()
            assert now == await others.next()
            assert now is not None
            assert now[1]["second"]["refused"] >= (number > 0)
            refused = [row["count"] for row in now[1]["refused"] if row["cause"] == "late"]
            assert refused == ([number * (number + 1) // 2] if number else [])
        await first.leave()
        await second.leave()
        await pages(site.feed, 0)


async def test_the_past_survives_its_page() -> None:
    """A page that is opened anew has what was before it."""
    async with board() as site:
        for _ in range(7):
            site.feed.tick()
        async with await site.call() as caller:
            events = Events(caller)
            headers = (await events.head())[1]
            assert headers["content-type"] == "text/event-stream; charset=utf-8"
            assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
            past = await events.next()
            assert past is not None
            assert len(past[1]["seconds"]["at"]) == len(past[1]["seconds"]["waiting"]) == 7


async def test_so_many_pages_and_no_more() -> None:
    """One too many is told so; a place is free again when a page is closed."""
    async with board(most=2) as site:
        callers = [(await opened(site))[0] for _ in range(2)]
        async with await site.call() as caller:
            refused = await caller.receive()
            assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "overloaded", "60")
        await callers.pop().leave()
        await pages(site.feed, 1)
        again, _ = await opened(site)
        for caller in (again, *callers):
            await caller.leave()


async def test_a_page_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers are bounded, and another page has each of its events meanwhile."""
    monkeypatch.setattr(dashboard, "STUCK_SECONDS", 0.05)
    async with board() as site:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, site.address)
        await asyncio.get_running_loop().sock_sendall(sock, head(path=EVENTS, method="GET"))
        await pages(site.feed, 1)
        caller, events = await opened(site)
        ticks = 0
        async with asyncio.timeout(PATIENCE):
            while len(site.feed.pages) == 2:
                site.feed.tick()
                assert await events.next() is not None
                ticks += 1
        assert ticks < 1000
        sock.close()
        await caller.leave()


async def test_a_drain_does_not_wait_for_pages() -> None:
    """The last event says that it drains; one that is opened then ends with its first."""
    async with running() as sidecar, await sidecar.call() as caller, await sidecar.call() as late:
        await caller.send(head(path=EVENTS, method="GET"))
        events = Events(caller)
        await events.head()
        assert await events.next() is not None
        started = time.monotonic()
        await sidecar.listening.drain(PATIENCE)
        said = await events.rest()
        assert said[-1][1]["status"]["state"] == "draining"
        assert [one["check"] for one in said[-1][1]["advice"]] == ["sidecar"]
        await late.send(head(path=EVENTS, method="GET"))
        events = Events(late)
        await events.head()
        assert [name for name, _ in await events.rest()] == ["past", "now"]
        assert time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize("gentle", [True, False])
async def test_neither_does_a_handover_nor_the_end(*, gentle: bool) -> None:
    """An open page would otherwise be a request without its answer."""
    sock = socket.create_server(("127.0.0.1", 0))
    async with running() as sidecar:
        async with serve(
            sidecar.service, settings_of(), sock=sock, timings=Timings(last_request_seconds=0.01)
        ) as listening:
            caller = await Caller.connect(listening.host, listening.port)
            await caller.send(head(path=EVENTS, method="GET"))
            events = Events(caller)
            await events.head()
            started = time.monotonic()
            if gentle:
                await listening.hand_over(PATIENCE)
        assert time.monotonic() - started < PATIENCE / 2
        await events.rest()
        assert events.ended
        await caller.leave()


async def test_the_server_ticks_by_itself() -> None:
    """Once a second, for as long as it runs; no task is left behind."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(head(path=EVENTS, method="GET"))
        events = Events(caller)
        await events.head()
        names = [event[0] for event in [await events.next() for _ in range(3)] if event]
        assert names == ["past", "now", "now"]
        assert "dashboard feed" in {task.get_name() for task in asyncio.all_tasks()}
    assert "dashboard feed" not in {task.get_name() for task in asyncio.all_tasks()}
