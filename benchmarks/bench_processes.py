"""PROCESSES: CPU of a request with one process and with two, and what two processors would carry of them.

    python benchmarks/bench_processes.py [--rounds 5] [--requests 6000] [--connections 64]

Callers and provider run on the same machine, so that throughput itself says little on few processors. CPU a request
does: two processors carry at most 2 x (CPU with one process / CPU of all processes with two) of what one carries, and
no more than the busiest process of the two allows.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from rig import Command, chats, completions, line, sidecar

ANSWER = json.dumps(
    {
        "id": "c",
        "choices": [{"message": {"role": "assistant", "content": "Because it does. " * 20}, "finish_reason": "stop"}],
        "model": "m",
        "usage": {"prompt_tokens": 60, "completion_tokens": 80},
    }
).encode()
PROVIDER = f"""
import asyncio, sys, uvloop
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
REPLY = HEAD + b"Content-Length: {len(ANSWER)}\\r\\n\\r\\n" + {ANSWER!r}
class Answers(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.held = transport, b""
    def data_received(self, data):
        self.held += data
        while (end := self.held.find(b"\\r\\n\\r\\n")) >= 0:
            length = int(self.held[:end].lower().partition(b"content-length:")[2].split(b"\\r\\n")[0])
            if len(self.held) < end + 4 + length: return
            self.held = self.held[end + 4 + length:]
            self.transport.write(REPLY)
async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", 0)
    print("provider on http://%s:%s" % server.sockets[0].getsockname(), file=sys.stderr, flush=True)
    await server.serve_forever()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
"""
"""A provider that answers at once and costs little."""


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def drive(url: str, path: str, bodies: list[bytes], connections: int) -> None:
    """Send the bodies over connections that stay open, one request at a time on each."""
    host, _, port = url.removeprefix("http://").partition(":")
    left = iter(bodies)

    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for body in left:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 200"), answer
            await reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--requests", type=int, default=6000)
    arguments.add_argument("--connections", type=int, default=64)
    options = arguments.parse_args()
    with ExitStack() as stack:
        provider = Command(program=("-c", PROVIDER), ready="provider on")
        stack.callback(provider.stop)
        upstream = provider.log[-1].split()[-1]
        ways = {
            name: stack.enter_context(sidecar(upstream, "--request-timeout=120", f"--processes={name}"))
            for name in ("1", "2")
        }
        for path, bodies in (("/ai", chats(options.requests)), ("/v1/chat/completions", completions(options.requests))):
            spent: dict[str, list[float]] = {name: [] for name in ways}
            shares: list[tuple[float, float]] = []
            for number in range(options.rounds + 1):
                for name, (url, command) in ways.items():
                    before = {pid: cpu(pid) for pid in family(command.pid)}
                    asyncio.run(drive(url, path, bodies, options.connections))
                    used = [cpu(pid) - was for pid, was in before.items()]
                    if number:
                        spent[name].append(sum(used) / options.requests * 1e6)
                    if name == "2" and number:
                        shares.append((max(used) / sum(used), used[0] / sum(used)))
            one, two = (statistics.median(spent[name]) for name in ways)
            print(f"\n{path}")
            line("one process", f"{one:.0f} us a request")
            line("two processes and their parent", f"{two:.0f} us a request")
            busiest, parent = (statistics.median(share) for share in zip(*shares, strict=True))
            line("the busiest of the three, and the parent, have of that", f"{busiest:.0%}, {parent:.0%}")
            line("most that any number of processors carries, beside one", f"{one / (parent * two):.2f} x")
            carried = min(2, 1 / busiest) * one / two
            line("two processors carry, beside one", f"{carried:.2f} x", carried >= 1.8)


if __name__ == "__main__":
    sys.exit(main())
