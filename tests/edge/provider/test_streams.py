"""What every client promises about streamed answers."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from sidecar.core.errors import (
    DeadlineExceeded,
    EmptyResponse,
    RateLimited,
    UpstreamError,
    UpstreamFailure,
    UpstreamUnreachable,
)
from sidecar.demo.server import Demo, serve
from tests.support.event_streams import data_in
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
    refused,
    soon,
)

pytestmark = every_adapter


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(keep=10) as running:
        yield running


def events(*data: bytes, done: bool = True, length: int = 0) -> bytes:
    """A streamed answer; a `length` beyond its end is a connection that is cut."""
    body = b"".join(b"data: " + one + b"\n\n" for one in (*data, *([b"[DONE]"] if done else [])))
    return http(body, Content_Type="text/event-stream", Content_Length=str(length or len(body)))


def said(data: list[bytes]) -> str:
    chunks = [json.loads(one) for one in data]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])


async def test_whole_answers_come_as_events_where_extra_body_says_so(adapter: Adapter) -> None:
    """llama.cpp notices a caller who left at the next event; text and counts are those of a whole answer."""
    extra = '{"stream": true, "stream_options": {"include_usage": true}}'
    text = b'{"choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}]}'
    counts = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
    async with canned(events(text, counts)) as provider, opened(adapter, provider.url, EXTRA_BODY=extra) as upstream:
        answer = await completed(upstream, call(extra={"stream": False}))
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("Hello.", 3, 2)
    sent = provider.received[0].json
    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


async def test_a_stream_gives_the_same_text_as_a_whole_answer(adapter: Adapter, demo: Demo) -> None:
    """Every event's data comes as it was sent, `[DONE]` left out, and the connection is kept."""
    options = {"stream_options": {"include_usage": True}}
    async with opened(adapter, demo.url) as upstream:
        whole = await completed(upstream)
        items = [item async for item in upstream.stream(call(extra=options), deadline=soon())]
        data = [one for item in items for one in data_in(item)]
        assert said(data) == whole.text
        assert json.loads(data[-1])["usage"]["completion_tokens"] == whole.completion_tokens
    sent = demo.received[1].json()
    assert sent["stream"] is True
    assert demo.received[1].headers["accept"] == "text/event-stream"
    assert demo.stats.answered == 2


async def test_the_newer_limit_is_learned_by_streams_too(adapter: Adapter, demo: Demo) -> None:
    """One refusal, one mended try, and it is known from then on, to both verbs."""
    demo.behave(no_max_tokens=True)
    async with opened(adapter, demo.url) as upstream:
        assert [one async for one in upstream.stream(call(), deadline=soon())]
        assert [one async for one in upstream.stream(call(), deadline=soon())]
        assert (await completed(upstream)).text
    assert demo.stats.by_outcome == {"invalid": 1, "answered": 3}


async def test_a_refusal_of_a_stream_is_the_same_error(adapter: Adapter, demo: Demo) -> None:
    """Before the first event a stream fails as a whole answer does."""
    demo.behave(status=429)
    async with opened(adapter, demo.url) as upstream:
        with pytest.raises(RateLimited):
            await anext(upstream.stream(call(), deadline=soon()))


async def test_a_stream_that_is_cut_is_an_error(adapter: Adapter, demo: Demo) -> None:
    """What came was given; then the caller learns that it is not all."""
    demo.behave(stream_cut=True)
    async with opened(adapter, demo.url) as upstream:
        stream = upstream.stream(call(), deadline=soon())
        assert await anext(stream)
        with pytest.raises(UpstreamError, match="cut"):
            assert [one async for one in stream]


ENDINGS: dict[str, tuple[bytes, type[UpstreamFailure] | None]] = {
    "unfinished": (events(b'{"choices":[]}', done=False), UpstreamError),
    "done, then cut": (events(b'{"choices":[]}', length=9999), None),
    "finished without done": (events(b'{"choices":[{"finish_reason": "stop"}]}', done=False), None),
    "signs of life": (events(b"", b'{"choices":[]}', b""), None),
    "an error": (events(b'{"choices":[]}', b'{"error":{"message":"It broke."}}'), UpstreamError),
    "no JSON": (events(b'{"choices":[]}', b"<html>"), UpstreamError),
    "too large": (events(b'{"choices":[]}', b'{"x":"' + b"x" * 2**24 + b'"}'), UpstreamError),
    "nothing": (events(), EmptyResponse),
    "a whole answer": (http(completion()), None),
    "a web page": (http(b"<html>", Content_Type="text/html"), UpstreamError),
    "MiniMax's error": (events(b'{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}'), RateLimited),
    "an error at 200": (http({"error": {"message": "no", "code": 429}}), RateLimited),
    "an error at 500": (refused("Unknown.", 500), UpstreamError),
    "no answer": (b"", UpstreamUnreachable),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_stream_ends_well_or_with_the_right_error(adapter: Adapter, ending: str) -> None:
    """`[DONE]`, or a finished choice and the end, is well; all else is the error that it is."""
    answer, kind = ENDINGS[ending]
    async with canned(answer, close=True) as provider, opened(adapter, provider.url) as upstream:
        failure: UpstreamFailure | None = None
        try:
            assert [one async for one in upstream.stream(call(), deadline=soon())]
        except UpstreamFailure as exc:
            failure = exc
    assert type(failure) is (kind or type(None))


async def test_comments_are_signs_of_life(adapter: Adapter) -> None:
    """Blank data after the first event; before it they are no answer, and the deadline goes on."""
    said = asyncio.Event()

    async def thinking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: wait\n\ndata: {}\n\n")
        await said.wait()
        writer.write(b": wait\n\n")
        await reader.read()
        writer.transport.abort()

    async with listening(thinking) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(adapter, f"http://127.0.0.1:{port}") as upstream:
            stream = upstream.stream(call(), deadline=soon())
            assert await anext(stream) == b"{}"
            said.set()
            assert await anext(stream) == b""
            await stream.aclose()


async def test_the_first_event_comes_before_the_deadline(adapter: Adapter, demo: Demo) -> None:
    """A provider that sends a head and then nothing is left on time."""
    demo.behave(stall=1)
    async with opened(adapter, demo.url) as upstream:
        deadline = soon(0.2)
        with pytest.raises(DeadlineExceeded):
            await anext(upstream.stream(call(), deadline=deadline))
        assert 0 <= asyncio.get_running_loop().time() - deadline < 10
        await demo.until(lambda stats: stats.cancelled == 1)
    silent = events(b"", done=False, length=100)
    async with canned(silent) as provider, opened(adapter, provider.url) as upstream:
        with pytest.raises(DeadlineExceeded):
            await anext(upstream.stream(call(), deadline=soon(0.2)))
        async with asyncio.timeout(10):
            await provider.left.wait()


async def test_after_the_first_event_the_deadline_is_over(adapter: Adapter, demo: Demo) -> None:
    """How long a stream may go on is the caller's business."""
    demo.behave(stream_chunk_delay=0.05)
    async with opened(adapter, demo.url) as upstream:
        await completed(upstream)
        deadline = soon(0.1)
        assert [one async for one in upstream.stream(call(), deadline=deadline)]
        assert asyncio.get_running_loop().time() > deadline
    assert demo.stats.answered == 2


async def test_closing_a_stream_frees_the_provider(adapter: Adapter, demo: Demo) -> None:
    """A reader who has read enough closes the iterator, and the connection closes at once."""
    demo.behave(stream_chunk_delay=30)
    async with opened(adapter, demo.url) as upstream:
        stream = upstream.stream(call(), deadline=soon())
        assert await anext(stream)
        await stream.aclose()
        await demo.until(lambda stats: stats.cancelled == 1)


async def test_cancelling_a_stream_frees_the_provider(adapter: Adapter, demo: Demo) -> None:
    """So does leaving while waiting for the next event."""
    demo.behave(stream_chunk_delay=30)
    first = asyncio.Event()

    async def read(stream: AsyncIterator[bytes]) -> None:
        async for _ in stream:
            first.set()

    async with opened(adapter, demo.url) as upstream:
        task = asyncio.create_task(read(upstream.stream(call(), deadline=soon())))
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await demo.until(lambda stats: stats.cancelled == 1)


async def test_a_stream_nobody_reads_holds_the_provider_back(adapter: Adapter) -> None:
    """Memory does not fill with events that wait for a slow reader."""
    events_a_write = 64
    event = b'data: {"choices":[],"x":"' + b"x" * 1000 + b'"}\n\n'
    taken = 0
    held = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not held.is_set():
            writer.write(event * events_a_write)
            taken += events_a_write
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                held.set()
        writer.transport.abort()

    async with listening(endless) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(adapter, f"http://127.0.0.1:{port}") as upstream:
            stream = upstream.stream(call(), deadline=soon())
            assert await anext(stream)
            async with asyncio.timeout(20):
                await held.wait()
            await stream.aclose()
    assert taken * len(event) < 32 * 2**20  # most of it in the kernel's buffers
