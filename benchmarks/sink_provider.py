"""Provider for benchmarks of large bodies and answers: reads each body, waits, and answers; parses nothing.

python benchmarks/sink_provider.py [seconds of each answer to a body of 1 MiB or more]

A body with `[sink KIND]` gets an answer of just under 16 MiB of that kind.
"""

import asyncio
import json
import re
import sys

LARGE = 2**20
MOST = 16 * 2**20 - 1024
ANSWER = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": "Read."}, "finish_reason": "stop"}], "model": "sink"}
).encode()
NAN = b'{"token":"ab","logprob":NaN,"bytes":[97,98],"top_logprobs":[]}'
LOGPROB = b'{"token":"ab","logprob":-0.123,"bytes":[97,98],"top_logprobs":[]}'


def filled(part: bytes, by: bytes = b",") -> bytes:
    return by.join([part] * (MOST // (len(part) + len(by))))


def answer_of(kind: str) -> bytes:
    """Return the body of a large answer."""
    parts = {"lists": b"[]", "logprobs": LOGPROB, "nan": NAN, "nested": b"[" * 50 + b"]" * 50}
    values = {kind: filled(parts[kind])} if kind in parts else {}
    words = {"text": "A word and a.", "accents": "Ünï 🙂 wörd.", "quotes": "It's `a` <b>."}
    text = filled(words[kind].encode(), b" ").decode() if kind in words else "Read."
    message = {"role": "assistant", "content": text}
    whole = json.dumps(
        {"choices": [{"message": message, "finish_reason": "stop"}], "model": "sink"}, ensure_ascii=False
    )
    return whole.encode()[:-1] + b', "x": [%s]}' % values.get(kind, b"")


def response(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)


REPLY = response(ANSWER)
_made: dict[bytes, bytes] = {}


def reply_to(body: bytes) -> bytes:
    found = re.search(rb"\[sink (\w+)\]", body)
    if found is None:
        return REPLY
    if (kind := found[1]) not in _made:
        if kind == b"event":
            delta = b'{"choices":[{"index":0,"delta":{"content":"Read."},"finish_reason":"stop"}],"x":[%s]}' % filled(
                b"[]"
            )
            _made[kind] = response(b"data: %s\n\ndata: [DONE]\n\n" % delta, b"text/event-stream")
        else:
            _made[kind] = response(answer_of(kind.decode()))
    return _made[kind]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            left, start = length, b""
            while left:
                part = await reader.read(min(left, 2**18))
                start, left = start or part, left - len(part)
            await asyncio.sleep(seconds if length >= LARGE else 0.05)
            writer.write(reply_to(start[:16_000]))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(seconds: float) -> None:
    server = await asyncio.start_server(lambda reader, writer: answer(reader, writer, seconds), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"demo upstream on http://{host}:{port}/v1", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
