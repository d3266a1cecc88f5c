"""What every client promises about connections that are used again."""

import asyncio

from sidecar.core.errors import UpstreamError, UpstreamUnreachable
from sidecar.provider.connection_errors import STALE_SECONDS
from tests.support.scripted_provider import (
    Adapter,
    call,
    canned,
    completed,
    every_adapter,
    failing,
    http,
    listening,
    opened,
)

pytestmark = every_adapter


async def test_a_connection_is_used_again(adapter: Adapter) -> None:
    """One after the other, calls share a connection; at once, each has its own."""
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
        await completed(upstream)
        assert provider.connections == 1
        await asyncio.gather(completed(upstream), completed(upstream))
        assert provider.connections == 2


async def test_a_kept_connection_that_the_provider_closed_may_be_tried_again(adapter: Adapter) -> None:
    """Closed before the first byte of an answer, it most likely crossed our request: another try costs nothing."""
    async with canned(http(), b"") as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
        failure = await failing(upstream)
        assert provider.connections == 1
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, True)


async def test_a_kept_connection_that_ends_later_is_not_tried_again(adapter: Adapter) -> None:
    """The provider may have worked on the call: a second one could be paid twice."""
    calls = 0

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while await reader.readuntil(b"\r\n\r\n"):
            calls += 1
            if calls == 2:
                await asyncio.sleep(STALE_SECONDS)
                writer.transport.abort()
                return
            writer.write(http())

    async with (
        listening(dying) as server,
        opened(adapter, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as upstream,
    ):
        await completed(upstream)
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, False)


async def test_a_closed_idle_connection_is_not_used(adapter: Adapter) -> None:
    """One that the provider closed in good time is replaced without anybody noticing."""
    async with canned(close=True) as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
        # Another caller's whole visit: by its end the loop has told the adapter that its own connection closed.
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(b"POST / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.transport.abort()
        await completed(upstream)
        assert provider.connections == 3


async def test_what_nobody_asked_for_is_no_answer(adapter: Adapter) -> None:
    """A 408 for an idle connection, in one piece with the answer before or later, is never read as the next answer."""
    late = http(b"", 408)
    async with canned(http() + late) as provider, opened(adapter, provider.url) as upstream:
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream, call("x" * 200_000))).text == "Hello."  # large requests go another way
        assert provider.connections == 3
    said = asyncio.Event()

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http())
        await said.wait()
        writer.write(late)
        writer.close()

    async with listening(impatient) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(adapter, f"http://127.0.0.1:{port}") as upstream:
            assert (await completed(upstream)).text == "Hello."
            said.set()
            # Another caller's whole visit: by its end the 408 is here.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.transport.abort()
            assert (await completed(upstream)).text == "Hello."


async def test_an_answer_with_two_lengths_is_none(adapter: Adapter) -> None:
    """Nobody knows where it ends, so its connection is dropped (RFC 9112, 6.3)."""
    whole = http(Transfer_Encoding="chunked")
    async with canned(whole, http()) as provider, opened(adapter, provider.url) as upstream:
        assert type(await failing(upstream)) is UpstreamError
        assert (await completed(upstream)).text == "Hello."
        assert provider.connections == 2


async def test_an_answer_that_says_close_ends_its_connection(adapter: Adapter) -> None:
    """`Connection: close` and bodies without a length are read, and nothing is sent there again."""
    endless = http(Connection="close", Content_Length="")
    async with canned(endless, http(), close=True) as provider, opened(adapter, provider.url) as upstream:
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream)).text == "Hello."
        assert provider.connections == 2


async def test_a_request_on_a_used_connection_is_as_the_first(adapter: Adapter) -> None:
    """The same line and headers, and the body of its own call, whatever its length in bytes."""
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        for text in ("one", "two: ü", "three " * 1000):
            await completed(upstream, call(text))
        first, *others = provider.received
        assert [request.json["messages"][0]["content"][:3] for request in provider.received] == ["one", "two", "thr"]
        for request in others:
            assert request.line == first.line
            own = {name: value for name, value in request.headers.items() if name != "content-length"}
            expected = dict(first.headers)
            assert own == {name: value for name, value in expected.items() if name != "content-length"}
        assert provider.connections == 1


async def test_an_interim_answer_is_no_answer(adapter: Adapter) -> None:
    """On a new connection and on a used one: 103 comes before what was wanted (RFC 9110, 15.2)."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    async with canned(interim + http()) as provider, opened(adapter, provider.url) as upstream:
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream)).text == "Hello."
        assert provider.connections == 1
