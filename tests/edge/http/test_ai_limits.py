"""Promises of the sizes on POST /ai: what is refused before it is read, and the bytes that a request reserves."""

import asyncio
import gzip
import json

import pytest

from tests.support.ai_requests import STRICT, check_envelope, sized
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import CHAT, PATIENCE, Sidecar, chunks, head, post, running


async def test_a_gzip_bomb_is_never_unpacked() -> None:
    """A few kilobytes that would be ten megabytes are refused as they are."""
    bomb = gzip.compress(sized(10_000_000))
    async with running() as sidecar:
        answer = await sidecar.fetch(post(bomb, "Content-Encoding: gzip"))
    assert answer.status == 415


@STRICT
async def test_a_body_declared_too_large_is_413_before_it_is_sent(strict: bool) -> None:
    """Its length says enough; the connection is not kept, since the body may still come."""
    async with running(MAX_BODY_BYTES="2048", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Content-Length: 2049"))
        answer = await caller.receive()
        assert await caller.rest() == b""
    check_envelope(answer)
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (413, "too_large", "close")


async def test_the_largest_body_is_taken() -> None:
    """MAX_BODY_BYTES itself is allowed, in one piece and in chunks."""
    async with running(MAX_BODY_BYTES="200000", QUEUE_BYTES="200000") as sidecar:
        assert (await sidecar.fetch(post(sized(200_000)))).json["success"]
        start = head("Content-Type: application/json", "Transfer-Encoding: chunked")
        half = sized(200_000)
        assert (await sidecar.fetch(start + chunks(half[:150_000], half[150_000:]))).json["success"]
        assert sidecar.service.admission.held_bytes == 0


async def test_a_body_in_chunks_is_413_once_it_is_too_large() -> None:
    """Who does not say the length is counted."""
    async with running(MAX_BODY_BYTES="2048") as sidecar, await sidecar.call() as caller:
        await caller.send(head("Content-Type: application/json", "Transfer-Encoding: chunked"))
        await caller.send(b"800\r\n" + b"x" * 2048 + b"\r\n")
        await caller.send(b"1\r\nx\r\n")
        answer = await caller.receive()
    assert (answer.status, answer.json["code"]) == (413, "too_large")


async def curl(sidecar: Sidecar, body: bytes, *options: str) -> tuple[int, str, dict[str, object]]:
    """What curl makes of posting `body`: its exit code, the status and the reply."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-m", str(PATIENCE), "-w", "\n%{http_code}", "--data-binary", "@-"),
        *("-H", "Content-Type: application/json", *options, f"{sidecar.listening.url}/ai"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(body)
    reply, _, status = output.decode().rpartition("\n")
    return process.returncode or 0, status, json.loads(reply)


@pytest.mark.parametrize(
    "options", [("-H", "Expect:"), (), ("-H", "Transfer-Encoding: chunked")], ids=["sends", "asks", "chunked"]
)
async def test_curl_with_nine_megabytes_reads_its_413(options: tuple[str, ...]) -> None:
    """Whether it asks first, sends at once or in chunks: JSON and no reset connection."""
    async with running() as sidecar:
        assert await curl(sidecar, sized(9_000_000), *options) == (
            0,
            "413",
            {"success": False, "data": None, "error": "The request is larger than 4194304 bytes.", "code": "too_large"},
        )


async def test_curl_reads_overloaded_while_it_sends_megabytes() -> None:
    """A 200 that comes before the body is sent does not stop curl; what it sends is thrown away, not reset."""
    async with running(QUEUE_SIZE="1") as sidecar:
        with sidecar.service.admission.admit():
            code, status, reply = await curl(sidecar, sized(4_000_000), "-H", "Expect:")
    assert (code, status, reply["code"]) == (0, "200", "overloaded")


async def test_curl_with_four_megabytes_is_served() -> None:
    """What fits is answered, with and without asking first."""
    async with running() as sidecar:
        for options in (("-H", "Expect:"), ("-H", "Expect: 100-continue")):
            assert (await curl(sidecar, sized(4_000_000), *options))[2]["success"] is True


async def test_expect_continue_is_answered_once_the_request_has_a_place() -> None:
    """`100 Continue` comes before the body, the answer after it."""
    async with running() as sidecar, await sidecar.call() as caller:
        await caller.send(
            head("Content-Type: application/json", f"Content-Length: {len(CHAT)}", "Expect: 100-continue")
        )
        assert (await caller.receive()).status == 100
        assert sidecar.service.admission.held_bytes == len(CHAT)
        await caller.send(CHAT)
        assert (await caller.receive()).json["success"]


@STRICT
async def test_a_full_queue_refuses_at_once_without_the_body(strict: bool) -> None:
    """Headers are enough for an `overloaded` with Retry-After; no invitation to send precedes it."""
    async with running(QUEUE_SIZE="1", STRICT_STATUS=str(strict)) as sidecar, await sidecar.call() as caller:
        with sidecar.service.admission.admit():
            await caller.send(head("Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"))
            answer = await caller.receive()
    check_envelope(answer)
    assert (answer.status, answer.json["code"]) == (503 if strict else 200, "overloaded")
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("1", "close")


async def test_a_refused_caller_whose_body_is_here_keeps_the_connection() -> None:
    """A burst of refusals costs no new connections."""
    async with running(QUEUE_SIZE="1") as sidecar, await sidecar.call() as caller:
        with sidecar.service.admission.admit():
            await caller.send(post())
            assert (await caller.receive()).json["code"] == "overloaded"
        await caller.send(post())
        assert (await caller.receive()).json["success"]


async def test_bytes_are_reserved_from_the_declared_length() -> None:
    """QUEUE_BYTES holds before a body is read: its bytes are taken before the caller sends them."""
    async with running(MAX_BODY_BYTES="2048", QUEUE_BYTES="3000") as sidecar, await sidecar.call() as first:
        await first.send(head("Content-Type: application/json", "Content-Length: 2000", "Expect: 100-continue"))
        assert (await first.receive()).status == 100
        assert (await sidecar.fetch(post(sized(1001)))).json["code"] == "overloaded"
        assert (await sidecar.fetch(post(sized(1000)))).json["success"]


async def test_a_chunked_body_reserves_as_it_grows_and_then_what_it_is() -> None:
    """While the engine works, exactly the body's bytes are held; where they are not free, it is `overloaded`."""
    upstream = HeldUpstream(held=True)
    start = head("Content-Type: application/json", "Transfer-Encoding: chunked")
    async with (
        running(upstream, MAX_BODY_BYTES="100000", QUEUE_BYTES="150000") as sidecar,
        await sidecar.call() as first,
        await sidecar.call() as second,
    ):
        await first.send(start + chunks(sized(90_000)))
        await upstream.reached()
        assert sidecar.service.admission.held_bytes == 90_000
        await second.send(start + b"%x\r\n" % 90_000 + b"x" * 70_000)
        answer = await second.receive()
        assert answer.json["code"] == "overloaded"
        upstream.gate.set()
        assert (await first.receive()).json["success"]
        assert sidecar.service.admission.held_bytes == 0
