"""Processes of try_llama.py: an environment from llama.lock, the model server in it, and a command with its lines."""

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from rig import ROOT, environment

sys.path.insert(0, str(ROOT))

from tests.support.ports import free_port

HOME = ROOT / ".venvs" / "llama"
LOCK = ROOT / "benchmarks" / "llama.lock"
CONTEXT = 2048
"""Tokens of one slot."""
SLOTS = 2


def install() -> None:
    """Install what llama.lock lists, if it is not there."""
    mark = HOME / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    if mark.exists():
        return
    print(f"installing {LOCK.name} into {HOME.relative_to(ROOT)} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(LOCK)], check=True)
    mark.touch()


class Process:
    """A command that serves, with all lines that it writes."""

    def __init__(self, *words: str, **env: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=environment(**env),
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(self._process.stdout)

    def line(self, part: str, seconds: float = 60.0) -> str:
        """Wait for a line that has `part` in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines:
                if part in line:
                    return line
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"no line with {part!r} came:\n{''.join(self.lines[-20:])}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's events of this name."""
        found = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [event for event in found if event.get("event", event.get("message")) == name]

    def end(self, how: int = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Model:
    """The model server, which can be killed and started again on the same port."""

    def __init__(self, layers: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._layers = layers
        self.process = self._start()
        self.process.line("loading model")  # from here on it listens

    def _start(self) -> Process:
        script = str(ROOT / "benchmarks" / "llama_server.py")
        flags = ("--slots", str(SLOTS), "--context", str(CONTEXT), "--layers", str(self._layers))
        return Process(str(HOME / "bin" / "python"), script, str(self.port), str(HOME), *flags)

    def kill(self) -> None:
        self.process.end(signal.SIGKILL)

    def start_again(self) -> None:
        self.process = self._start()

    def wait(self) -> None:
        self.process.line("serving")

    def busy(self) -> int:
        """Return the slots at work, by the log: each answer to GET /slots would put off what `leave` waits for."""
        begun, ended = (
            sum(words in line for line in list(self.process.lines)) for words in ("processing task,", "stop processing")
        )
        return begun - ended

    async def idle_within(self, seconds: float) -> float | None:
        """Return the seconds until all slots were free; None where that took longer."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not self.busy():
                return time.monotonic() - began
            await asyncio.sleep(0.02)
        return None
