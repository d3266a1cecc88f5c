"""The server at rest: from process start to the first /health answer, and memory once the SDK is loaded.

Baseline: a bare aiohttp server under uvloop that answers /health and does nothing else, started in turns with ours.
Usage: bench_start.py [ROUNDS]
"""

import socket
import statistics
import subprocess
import sys
import time

from rig import Command, demo_upstream, environment, get, line, post

BARE = """
import asyncio, sys, uvloop
from aiohttp import web

async def main():
    async def health(request):
        return web.json_response({"status": "healthy"})
    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def first_answer(*words: str) -> float:
    """Return the milliseconds from the start of `words` to its first /health answer."""
    port = free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *(word.replace("PORT", str(port)) for word in words)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as caller:
                    caller.sendall(HEALTH)
                    if caller.recv(4096).startswith(b"HTTP/1.1 200"):
                        return (time.perf_counter() - started) * 1000
            except OSError:
                time.sleep(0.001)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    ours, bare = [], []
    command = ("-m", "sidecar", "--http-mode", "--port=PORT", "--api-key=k", "--base-url=http://127.0.0.1:9/v1")
    for _ in range(rounds + 1):
        bare.append(first_answer("-c", BARE, "PORT"))
        ours.append(first_answer(*command))
    # The first round is left out: it also compiles modules without bytecode.
    base, mine = statistics.median(bare[1:]), statistics.median(ours[1:])
    print(f"\nprocess start to first /health answer, median of {rounds}")
    line("bare aiohttp under uvloop", f"{base:.0f} ms")
    line("the sidecar", f"{mine:.0f} ms = {mine / base:.2f} x", mine <= 1.5 * base)
    with demo_upstream() as upstream:
        flags = ("--http-mode", "--port", "0", "--api-key", "k", "--base-url", f"{upstream}/v1")
        server = Command(*flags, ready="listening")
        url = next(word for word in server.log[-1].split() if word.startswith("ai=")).removeprefix("ai=")
        post(url, {"action": "chat", "content": "Hello"})
        get(url.replace("/ai", "/health"))
        rest = server.memory()
        server.stop()
    line("resident at rest, SDK loaded", f"{rest:.0f} MiB", rest <= 90)


if __name__ == "__main__":
    main()
