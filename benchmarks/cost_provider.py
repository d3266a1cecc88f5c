"""Provider for benchmarks of cost: a raw asyncio server that answers as soon as a body is here, whole or as a stream.

Usage: cost_provider.py [EVENTS [SECONDS]]; prints its address on stdout. A stream has EVENTS events (32), each
written SECONDS after the one before (0.002). A request whose text names one of `SHAPES` gets that stream instead.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

TEXT = "A fraction is a part of a whole: one half, two thirds. "
SUMMARY = """## Summary

The text explains **fractions**: how a whole is cut into equal parts, half of it or two thirds, and why.

Key points:

- **The numerator** counts the parts that are there.
- **The denominator** says how many parts make a whole, and it's never zero.
- *Equal* fractions have the same place on the line: 1/2 and 2/4.
- Sums need parts of one size; products do not.

1. Find a common denominator.
2. Add the numerators, and leave the denominator as it is.

In short, a fraction is a number of its own. Students should remember the two words and what each of them says.
"""
"""An answer as models write it, for callers that ask for a summary; the others get `TEXT`."""
HEAD = {"id": "chatcmpl-1", "created": 1700000000, "model": "demo", "system_fingerprint": "fp"}


def whole(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 300, "completion_tokens": 48, "total_tokens": 348}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


REPLY, SUMMARIZED = whole(TEXT * 4), whole(SUMMARY)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    data = json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [choice]}).encode()
    return chunk(b"data: %s\n\n" % data)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


EVENT = event({"content": "half of it "})
DONE = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
END = event({}, "stop") + DONE


def raw(**fields: object) -> bytes:
    return chunk(b"data: %s\n\n" % json.dumps({**HEAD, "object": "chat.completion.chunk", **fields}).encode())


def choice(delta: dict[str, object], index: int = 0, reason: str | None = None) -> dict[str, object]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def call(piece: str) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


USAGE = {"prompt_tokens": 300, "completion_tokens": 48, "total_tokens": 348}
TINY = chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
CALLED = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
SHAPES = {
    b"one packet": [EVENT * 32 + END],
    b"three packets": [EVENT * 11, EVENT * 11, EVENT * 10 + END],
    b"turn by turn": [EVENT] * 32 + [END],
    b"tiny events": [TINY * 32 + END],
    b"200 events": [EVENT * 200 + END],
    b"usage": [
        raw(choices=[choice({"content": "half of it "})], usage=None) * 32
        + raw(choices=[choice({}, reason="stop")], usage=None)
        + raw(choices=[], usage=USAGE)
        + DONE
    ],
    b"two choices": [
        (raw(choices=[choice({"content": "half "})]) + raw(choices=[choice({"content": "half "}, 1)])) * 16
        + raw(choices=[choice({}, reason="stop")])
        + raw(choices=[choice({}, 1, "stop")])
        + DONE
    ],
    b"tool calls": [
        raw(choices=[choice({"role": "assistant", "content": None, "tool_calls": [CALLED]})])
        + raw(choices=[choice(call('{"a": '))]) * 31
        + raw(choices=[choice({}, reason="tool_calls")])
        + DONE
    ],
}
"""Writes of a stream, each in a turn of the loop."""
MARK = b"Stream: "


class Provider(asyncio.Protocol):
    """Answers each request as soon as its body is here."""

    events = 32
    seconds = 0.002
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.loop = asyncio.get_running_loop()
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = int(self.received[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(self.received) < end + 4 + length:
                return
            body, self.received = self.received[end:], self.received[end + 4 + length :]
            if b'"stream":true' in body or b'"stream": true' in body:
                self.stream(body)
            else:
                self.transport.write(SUMMARIZED if b"Summarize: " in body else REPLY)

    def stream(self, body: bytes) -> None:
        if (at := body.find(MARK)) < 0:
            self.transport.write(STREAM_HEAD + EVENT)
            self.loop.call_later(self.seconds, self.go_on, self.events - 1)
            return
        named = body[at + len(MARK) : at + 40]
        shape = next(writes for name, writes in SHAPES.items() if named.startswith(name))
        self.shaped([STREAM_HEAD + shape[0], *shape[1:]])

    def shaped(self, writes: list[bytes]) -> None:
        self.transport.write(writes[0])
        if rest := writes[1:]:
            self.loop.call_soon(self.shaped, rest)

    def go_on(self, left: int) -> None:
        if not left:
            self.transport.write(END)
            return
        self.transport.write(EVENT)
        self.loop.call_later(self.seconds, self.go_on, left - 1)


async def main() -> None:
    if len(sys.argv) > 1:
        Provider.events = int(sys.argv[1])
    if len(sys.argv) > 2:
        Provider.seconds = float(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
