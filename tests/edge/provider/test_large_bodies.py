"""What every client promises about large bodies: sent as they came, and left once the provider has answered."""

import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from sidecar.core.errors import UpstreamError
from sidecar.core.off_loop import THREAD_BYTES
from sidecar.core.ports import Call
from sidecar.core.raw_json import RawMessages
from tests.support.scripted_provider import (
    Adapter,
    call,
    canned,
    completed,
    every_adapter,
    failing,
    http,
    opened,
    refused,
    soon,
)

pytestmark = every_adapter
TEXT = "Ünï " * 500_000
MESSAGES = [{"role": "user", "content": TEXT}]


async def test_raw_and_decoded_texts_arrive_whole(adapter: Adapter) -> None:
    """With their length, on a connection that is kept for the next call."""
    raw = RawMessages(msgspec.Raw(json.dumps(MESSAGES).encode()), 1)
    tools = [{"type": "function"}]
    calls = (
        Call(messages=raw, max_tokens=7, extra={"tools": msgspec.Raw(json.dumps(tools).encode())}),
        Call(messages=MESSAGES, max_tokens=7, extra={"tools": tools}),
    )
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        for call in calls:
            assert (await completed(upstream, call)).text == "Hello."
        first, second = provider.received
        assert first.json == second.json == {"model": "m", "messages": MESSAGES, "max_tokens": 7, "tools": tools}
        assert [len(heard.body) for heard in provider.received] == [
            int(heard.headers["content-length"]) for heard in provider.received
        ]
        assert provider.connections == 1


async def test_a_refusal_of_a_large_text_does_not_quote_it(adapter: Adapter) -> None:
    """However long the text is."""
    raw = RawMessages(msgspec.Raw(json.dumps(MESSAGES).encode()), 1)
    answers = refused(f"cannot process {TEXT[:40]}", 500), refused("Worker 7 crashed.", 500)
    async with canned(*answers) as provider, opened(adapter, provider.url) as upstream:
        call = Call(messages=raw, max_tokens=7)
        assert "Ünï" not in str(await failing(upstream, call))
        assert "Worker 7 crashed." in str(await failing(upstream, call))


async def test_large_events_come_in_order_and_a_broken_one_takes_none_along(adapter: Adapter) -> None:
    """They are parsed in the thread beside the loop, together with what came in the same piece."""
    small = b'{"choices": [{"index": 0, "delta": {"content": "Hello."}}]}'
    large = b'{"choices": [], "more": [%s]}' % b",".join([b"[]"] * 200_000)
    packed = gzip.compress(b"data: %s\n\ndata: %s\n\ndata: %s\n\ndata: {]\n\n" % (small, large, small))
    answer = http(packed, Content_Type="text/event-stream", Content_Encoding="gzip")
    async with canned(answer) as provider, opened(adapter, provider.url) as upstream:
        coming = upstream.stream(Call(messages=MESSAGES, max_tokens=7), deadline=soon())
        assert [await anext(coming), await anext(coming), await anext(coming)] == [small, large, small]
        with pytest.raises(UpstreamError, match="not JSON"):
            await anext(coming)


class Watched(list[Any]):
    """Messages that note which thread looks at them."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        super().__init__(messages)
        self.seen_in: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[Any]:
        self.seen_in.add(threading.current_thread())
        return super().__iter__()


@pytest.mark.parametrize("size", [1000, 2 * THREAD_BYTES])
async def test_a_large_answer_is_read_in_the_thread_beside_the_loop(adapter: Adapter, size: int) -> None:
    """One that names an error too, whose words are searched for in the messages."""
    messages = Watched(*call().messages)
    answer = http({"error": {"message": "The model broke."}, "more": "x" * size})
    async with canned(answer) as provider, opened(adapter, provider.url) as upstream:
        assert "The model broke." in str(await failing(upstream, Call(messages=messages, max_tokens=7)))
    beside = messages.seen_in - {threading.current_thread()}
    assert bool(beside) == (size >= THREAD_BYTES)
