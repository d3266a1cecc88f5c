"""Provider for benchmarks of large bodies: reads each, waits, and answers; parses nothing.

python benchmarks/sink_provider.py [seconds of each answer to a body of 1 MiB or more]
"""

import asyncio
import json
import sys

LARGE = 2**20
ANSWER = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": "Read."}, "finish_reason": "stop"}], "model": "sink"}
).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            left = length
            while left:
                left -= len(await reader.read(min(left, 2**18)))
            await asyncio.sleep(seconds if length >= LARGE else 0.05)
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(seconds: float) -> None:
    server = await asyncio.start_server(lambda reader, writer: answer(reader, writer, seconds), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"demo upstream on http://{host}:{port}/v1", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
