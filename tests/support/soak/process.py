"""The real server with its own Valkey and worker, a probe in each, and its log bounded however long it runs."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.paths import ROOT
from tests.support.soak.wire import Address

START_SECONDS: Final = 60.0
_PROBE: Final = Path(__file__).parent / "probe" / "sitecustomize.py"


class Soaked:
    """The server's process, its children, and the warnings of its log."""

    def __init__(self, process: Process, probe: Path) -> None:
        self.process = process
        self.address = Address("", 0)
        self.warnings: deque[dict[str, Any]] = deque(maxlen=200)
        self.lines = 0
        """Lines of the log."""
        self.faults: deque[str] = deque(maxlen=20)
        """Lines that no log should have: faults of ours, and what is not JSON."""
        self.running = asyncio.Event()
        """Set once the server listens and its worker is alive."""
        self._probe = probe
        self._reading = asyncio.create_task(self._read(), name="log")

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            self.lines += 1
            if not raw.startswith(b"{"):
                self.faults.append(raw.decode(errors="replace").rstrip())
                continue
            line = json.loads(raw)
            if line["event"] == "listening":
                host, _, port = line["ai"].removeprefix("http://").removesuffix("/ai").rpartition(":")
                self.address = Address(host, int(port))
            if line["event"] == "workers_alive":
                self.running.set()
            if line.get("level") not in {"info", "debug"}:
                self.warnings.append(line)
            if line["event"] == "internal" or line.get("level") == "error":
                self.faults.append(raw.decode().rstrip())

    def family(self) -> dict[str, int]:
        """Return the ids of the server and of what it started, by name."""
        found = {"server": self.process.pid}
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"valkey-server" in words or b"worker" in words.split(b"\0"):
                found["valkey" if b"valkey-server" in words else "worker"] = int(child)
        return found

    async def look(self, pid: int) -> dict[str, Any]:
        """Return what the probe of a process says; nothing from a process without one."""
        place = self._probe / f"{pid}.json"
        place.unlink(missing_ok=True)
        os.kill(pid, signal.SIGURG)
        for _ in range(100):
            if place.exists():
                found: dict[str, Any] = json.loads(place.read_text())
                return found
            await asyncio.sleep(0.02)
        return {}

    async def stop(self) -> int:
        """End the server as an administrator does; return the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        code = await self.process.wait()
        await self._reading
        return code


@asynccontextmanager
async def soaked(folder: Path, *words: str, **env: str) -> AsyncIterator[Soaked]:
    """Run the command with embedded jobs, in an environment of `env` alone, with its state in `folder`."""
    probe = folder / "probe"
    probe.mkdir()
    shutil.copy(_PROBE, probe)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "--http-mode", "--port=0", "--log-format=json", *words),
        cwd=ROOT,
        env={"PYTHONPATH": f"{probe}:{ROOT}", "STATE_DIR": str(folder / "state"), "REDIS_URL": "embedded"} | env,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        limit=2**22,
    )
    server = Soaked(process, probe)
    try:
        async with asyncio.timeout(START_SECONDS):
            await server.running.wait()
        yield server
    finally:
        await server.stop()


def numbers_of(pid: int) -> dict[str, float]:
    """Return memory, descriptors and threads of a process, from outside."""
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "memory MiB": int(status["VmRSS"].split()[0]) / 1024,
        "descriptors": float(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())),
        "threads": float(status["Threads"]),
    }
