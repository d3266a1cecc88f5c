"""What every client promises where a body breaks HTTP's rules in its middle: an early failure with a name."""

import asyncio
import json
from typing import Final

import pytest

from sidecar.core.errors import UpstreamError
from tests.support.scripted_provider import (
    Adapter,
    call,
    canned,
    completed,
    completion,
    every_adapter,
    http,
    listening,
    opened,
    soon,
)

pytestmark = every_adapter

WHOLE: Final = json.dumps(completion()).encode()
EVENT: Final = b'data: {"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}\n\n'
HALF: Final = WHOLE[:40]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED: Final = b"Transfer-Encoding: chunked"
LONGER: Final = b"Content-Length: 9999"
BROKEN: Final = {
    "a size that is no number": (CHUNKED, b"zz\r\nabc\r\n", False),
    "a size beyond all bounds": (CHUNKED, b"f" * 24 + b"\r\n", False),
    "no line's end behind a chunk": (CHUNKED, b"3\r\nabcde\r\n0\r\n\r\n", False),
    "an end amid chunks": (CHUNKED, b"", True),
    "an end before the length": (LONGER, b"", True),
}
"""By what is wrong: the header of the body's length, the bytes behind a good beginning, and whether the end follows."""


class Breaking:
    """A provider whose first answer is whole, if `kept`, and whose next one begins well and breaks."""

    def __init__(self, kind: str, start: bytes, *, kept: bool, at_once: bool = False) -> None:
        framing, self._rest, self._closes = BROKEN[kind]
        self._start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%s\r\n\r\n" % framing
        self._start += chunk(start) if framing == CHUNKED else start
        self._good = kept
        self._at_once = at_once

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._good:
            await self._request(reader)
            writer.write(http())
        await self._request(reader)
        writer.write(self._start)
        if not self._at_once:
            for _ in range(10):  # rounds of the loop, in which the client reads what came so far
                await asyncio.sleep(0)
        writer.write(self._rest)
        if not self._closes:
            await reader.read()  # the client is expected to leave

    async def _request(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("kind", list(BROKEN))
async def test_an_answer_that_breaks_is_named_at_once(adapter: Adapter, kind: str, kept: bool) -> None:
    """Long before the deadline, and without another try: the provider may have been paid for it."""
    for at_once in (False, True):
        breaking = Breaking(kind, HALF, kept=kept, at_once=at_once)
        async with listening(breaking) as server:
            port = server.sockets[0].getsockname()[1]
            async with opened(adapter, f"http://127.0.0.1:{port}") as upstream:
                if kept:
                    await completed(upstream)
                with pytest.raises(UpstreamError, match=r"middle|HTTP") as caught:
                    await upstream.complete(call(), deadline=soon(5))
        assert not caught.value.retryable


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("kind", list(BROKEN))
async def test_a_stream_that_breaks_is_named_behind_its_events(adapter: Adapter, kind: str, kept: bool) -> None:
    """The events before are delivered, and the failure comes behind them."""
    async with listening(Breaking(kind, EVENT, kept=kept)) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(adapter, f"http://127.0.0.1:{port}") as upstream:
            if kept:
                await completed(upstream)
            stream = upstream.stream(call(), deadline=soon(5))
            assert b"Hel" in await anext(stream)
            with pytest.raises(UpstreamError, match="middle"):
                await asyncio.wait_for(anext(stream), 5)


async def test_what_follows_an_answer_is_no_part_of_it(adapter: Adapter) -> None:
    """An answer counts whatever comes behind it, and garbage in one piece with it fails early; none is the next answer.

    A line's end too many is no garbage.
    """
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(WHOLE) + b"0\r\n\r\n"
    for answer in (http(), chunked):
        async with canned(answer + b"\r\n", http()) as provider, opened(adapter, provider.url) as upstream:
            for _ in range(2):
                assert (await completed(upstream)).text == "Hello."
        async with canned(answer + b"\0garbage\r\n\r\n", http()) as provider, opened(adapter, provider.url) as upstream:
            try:
                assert (await upstream.complete(call(), deadline=soon(5))).text == "Hello."
            except UpstreamError as exc:
                assert "HTTP" in str(exc)
            assert (await completed(upstream)).text == "Hello."
            assert provider.connections == 2
