"""Shared code of the benchmarks: the real commands as processes, a cheap caller, and plain numbers.

Every result is printed with a baseline from the same run, since machines differ and so does their load.
"""

import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[1]
Headers = tuple[tuple[str, str], ...]


def environment(**more: str) -> dict[str, str]:
    """Return an environment without our settings, in which Python still finds and writes its bytecode."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {"PYTHONPATH": str(ROOT)} | more


class Command:
    """One of our commands as a process that serves.

    `shell` is the script of the shell that starts the command as `"$@"`; `program` runs in place of the sidecar.
    """

    def __init__(
        self,
        *words: str,
        ready: str,
        shell: str = 'exec "$@"',
        stdin: Any = subprocess.DEVNULL,
        program: tuple[str, ...] = ("-m", "sidecar"),
        python: str = sys.executable,
        **env: str,
    ) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", shell, "sh", python, *program, *words],
            stderr=subprocess.PIPE,
            stdin=stdin,
            env=environment(**env),
            text=True,
        )
        assert self.process.stderr is not None
        self.log: list[str] = []
        for line in self.process.stderr:
            self.log.append(line)
            if ready in line:
                break
        else:
            raise SystemExit(f"{words} did not start:\n{''.join(self.log)}")
        # Later log lines are read and dropped, so that the process never blocks on a full pipe.
        self._drop = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        self.started_with = self.cpu()

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, which: str = "VmRSS") -> float:
        """Return the MiB resident now, or at the peak (`VmHWM`)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(which):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(60)
        self._drop.wait(10)
        return code


@contextlib.contextmanager
def demo_upstream(*words: str) -> Iterator[str]:
    """Run the demo provider as a process; yield its address."""
    command = Command("demo-upstream", "--port", "0", *words, ready="demo provider on")
    url = next(word for word in command.log[-1].split() if word.startswith("http://")).removesuffix("/v1")
    try:
        yield url
    finally:
        command.stop()


@contextlib.contextmanager
def sidecar(
    upstream: str, *words: str, program: tuple[str, ...] = ("-m", "sidecar"), **env: str
) -> Iterator[tuple[str, Command]]:
    """Run the sidecar as a process over `upstream`; yield its address and the process."""
    flags = (
        "--http-mode",
        "--port",
        "0",
        "--api-key",
        "sk-bench",
        "--base-url",
        f"{upstream}/v1",
        "--log-format",
        "json",
    )
    command = Command(*flags, *words, ready='"listening"', program=program, **env)
    url = json.loads(command.log[-1])["ai"].removesuffix("/ai")
    try:
        yield url, command
    finally:
        command.stop()


def get(url: str) -> dict[str, Any]:
    with urlopen(url, timeout=30) as response:
        parsed: dict[str, Any] = json.load(response)
        return parsed


def post(url: str, value: object = None) -> dict[str, Any]:
    data = json.dumps(value or {}).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=60) as response:
        parsed: dict[str, Any] = json.load(response)
        return parsed


class Answer:
    """One reply, with the times of its request and its end in seconds after the run's start."""

    __slots__ = ("body", "received", "sent", "status")

    def __init__(self, sent: float, received: float, status: int, body: bytes) -> None:
        self.sent = sent
        self.received = received
        self.status = status
        self.body = body

    @property
    def seconds(self) -> float:
        return self.received - self.sent

    @property
    def code(self) -> str:
        """`ok`, or the reply's code; `lost` without a reply."""
        if self.status == 0:
            return "lost"
        with contextlib.suppress(ValueError):
            reply = json.loads(self.body)
            if isinstance(reply, dict):
                return "ok" if reply.get("success") or "choices" in reply else str(reply.get("code", self.status))
        return str(self.status)


async def call(
    url: str,
    body: bytes,
    *,
    start: float,
    timeout: float = 30.0,
    path: str = "/ai",
    method: str = "POST",
    token: str = "",
    headers: Headers = (),
) -> Answer:
    """Send one request on a new connection, as PHP does."""
    host, _, port = url.removeprefix("http://").partition(":")
    sent = time.perf_counter() - start
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers)
    raw = b""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                raw = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        raw = b""
    head_bytes, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head_bytes.lower():
        rest = _dechunked(rest)
    status = int(head_bytes.split(b" ", 2)[1]) if head_bytes.startswith(b"HTTP/1.") else 0
    return Answer(sent, time.perf_counter() - start, status, rest)


def _dechunked(data: bytes) -> bytes:
    """Return the content of a chunked body as far as it came."""
    found = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.partition(b";")[0] or b"0", 16)
        found, data = found + data[:length], data[length + 2 :]
    return found


async def burst(
    url: str | list[str],
    bodies: list[bytes],
    *,
    within: float = 1.0,
    timeout: float = 30.0,
    path: str = "/ai",
    headers: Headers = (),
) -> list[Answer]:
    """Send all `bodies`, spread evenly over `within` seconds, to the addresses in turn."""
    urls = [url] if isinstance(url, str) else url
    start = time.perf_counter()

    async def one(number: int, body: bytes) -> Answer:
        await asyncio.sleep(max(0.0, within * number / len(bodies) - (time.perf_counter() - start)))
        return await call(urls[number % len(urls)], body, start=start, timeout=timeout, path=path, headers=headers)

    return await asyncio.gather(*(one(number, body) for number, body in enumerate(bodies)))


def run_burst(*args: Any, **kwargs: Any) -> list[Answer]:
    import uvloop

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(burst(*args, **kwargs))


def completions(count: int, *, size: int = 200, **fields: Any) -> list[bytes]:
    """Return the requests of `chats` as bodies for the OpenAI-compatible route."""
    requests = [json.loads(body) for body in chats(count, size=size)]
    return [
        json.dumps(
            {
                "model": "gpt-4o",
                "user": str(request["user_id"]),
                "messages": [{"role": "user", "content": request["content"]}],
            }
            | fields
        ).encode()
        for request in requests
    ]


def chats(count: int, *, size: int = 200, users: int = 0) -> list[bytes]:
    """Return distinct chat requests of about `size` bytes."""
    text = "Why does the moon look larger near the horizon? " * (size // 48 + 1)
    return [
        json.dumps({"action": "chat", "content": f"{n}: {text[:size]}", "user_id": n % users if users else n}).encode()
        for n in range(count)
    ]


def tally(answers: list[Answer]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for answer in answers:
        counts[answer.code] = counts.get(answer.code, 0) + 1
    return counts


def spread(values: list[float]) -> str:
    """Return the median, 99th percentile and maximum as text."""
    ordered = sorted(values)
    return (
        f"p50 {statistics.median(ordered):.2f}  p99 {ordered[int(len(ordered) * 0.99) - 1]:.2f}  max {ordered[-1]:.2f}"
    )


def line(name: str, value: str, verdict: bool | None = None) -> None:
    mark = "" if verdict is None else ("  [holds]" if verdict else "  [DOES NOT HOLD]")
    print(f"  {name:<58} {value}{mark}", flush=True)
