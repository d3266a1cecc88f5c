"""A provider whose streams tests feed event by event, and a reader of server-sent events for callers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from sidecar.core.ports import WRITTEN, Call, Usage
from tests.support.described_replies import check_event
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import PATIENCE, Caller, post

CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is a fraction?"}]}
DONE = b"[DONE]"


def body(**fields: Any) -> bytes:
    """Return a chat's body with `fields` added."""
    return json.dumps(CHAT | fields).encode()


def chat_request(*headers: str, path: str = "/v1/chat/completions", **fields: Any) -> bytes:
    """Return a whole HTTP request for a chat."""
    return post(body(**fields), *headers, path=path)


def data_in(item: bytes) -> list[bytes]:
    """Return the data of each event in an item of the port `Upstream.stream`."""
    if not item.startswith(WRITTEN):
        return [item]
    assert item.endswith(b"\n\n")
    lines = item.removesuffix(b"\n\n").split(b"\n\n")
    assert all(line.startswith(WRITTEN) and b"\n" not in line for line in lines)
    return [line.removeprefix(WRITTEN) for line in lines]


def delta(text: str, finish: str | None = None) -> bytes:
    """Return one event's data."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}).encode()


class FedProvider(HeldUpstream):
    """A provider that streams the items of `feed`: data, a failure that ends the stream, or None for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.feed: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.ended = asyncio.Event()
        """Set once a stream is over, by any ending."""

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        self.calls.append(call)
        self.running += 1
        self.ended.clear()
        async with self._came:
            self._came.notify_all()
        try:
            while (item := await self.feed.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.running -= 1
            self.ended.set()


class EventReader:
    """Reader of a stream on a caller's connection."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._reader = caller.reader
        self._text = b""
        self.ended = False
        """True once the response came to its proper end."""

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return status and headers."""
        async with asyncio.timeout(PATIENCE):
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        fields = (line.partition(":") for line in lines)
        status, headers = int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in fields}
        self._caller.check(status, headers, None)
        return status, headers

    async def event(self) -> bytes | None:
        """Return the next event's data, or None at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            while b"\n\n" not in self._text:
                if not await self._more():
                    return None
        text, _, self._text = self._text.partition(b"\n\n")
        data = b"\n".join(line.removeprefix(b"data: ") for line in text.split(b"\n"))
        check_event(data)
        return data

    async def rest(self) -> list[bytes]:
        """Return all events up to the end."""
        found = []
        while (data := await self.event()) is not None:
            found.append(data)
        return found

    async def _more(self) -> bool:
        try:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            self._text += (await self._reader.readexactly(size + 2))[:size]
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        self.ended = self.ended or not size
        return size > 0
