"""Provider for benchmarks of others' cost: one fixed answer, whole or as a stream, after a given time; parses nothing.

python benchmarks/instant_provider.py [seconds of each answer]
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

WORDS = "The tides follow the moon because its pull differs between the near side and the far side of the earth. "
EVENTS = 20
_COMMON = {"id": "chatcmpl-bench", "created": 1_760_000_000, "model": "gpt-4o-2024-08-06"}
_USAGE = {"prompt_tokens": 60, "completion_tokens": 22, "total_tokens": 82}


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}
    body = json.dumps(_COMMON | {"object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = json.dumps(_COMMON | {"object": "chat.completion.chunk", "choices": [choice]}).encode()
    return _chunk(b"data: " + event + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST, NEXT = _event({"role": "assistant", "content": ""}), _event({"content": WORDS[:20]})
LAST = _event({}, "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
MODELS = b'{"object":"list","data":[{"id":"gpt-4o","object":"model","created":1,"owned_by":"bench"}]}'
LIST = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(MODELS), MODELS)


class Answering(asyncio.Protocol):
    """One connection; its requests are answered in turn."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._read = bytearray()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._read[:end]).lower()
            length = head.partition(b"content-length:")[2]
            size = end + 4 + (int(length.split(b"\r\n")[0]) if length else 0)
            if b"transfer-encoding: chunked" in head:
                size = self._read.find(b"0\r\n\r\n", end) + 5
            if len(self._read) < size or size == 4:
                return
            body = bytes(self._read[end + 4 : size])
            del self._read[:size]
            if head.startswith(b"get "):
                self._transport.write(LIST)
            else:
                asyncio.get_running_loop().call_later(self._seconds, self._answer, self._streams(body))

    @staticmethod
    def _streams(body: bytes) -> bool:
        return b'"stream":true' in body.replace(b" ", b"")

    def _answer(self, streams: bool) -> None:
        if not streams:
            self._transport.write(WHOLE)
            return
        self._transport.write(HEAD + FIRST)
        self._next(EVENTS)

    def _next(self, left: int) -> None:
        """Write an event a turn of the loop, so that most come in a read of their own."""
        if self._transport.is_closing():
            return
        self._transport.write(NEXT if left else LAST)
        if left:
            asyncio.get_running_loop().call_soon(self._next, left - 1)


async def main(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(seconds), "127.0.0.1", 0, backlog=4096)
    host, port = server.sockets[0].getsockname()
    print(f"demo upstream on http://{host}:{port}/v1", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
