"""What bench_side_by_side.py measures: this build, a bare relay, web servers, and gateways a site would pick instead.

A gateway is installed into an environment of its own below the user's cache folder, by the exact version here.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from base import THIS, Build
from load import Ask
from rig import environment

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "openai-moodle-sidecar-bench")
LITELLM, PORTKEY, SMG = "1.106.2", "1.15.2", "1.13.0"
ROUTE = "/v1/chat/completions"
KEY = ("Authorization", "Bearer sk-bench")
MASTER = "sk-4d1c7be09f6a43f8b1f2a5e7c3d90816"
"""Key of LiteLLM's callers: it does not start without one."""
START_SECONDS = 120.0
RIGHT = b"choices"


class Running(NamedTuple):
    """A candidate that serves."""

    ask: Ask
    pid: int

    def cpu(self) -> float:
        """Return the seconds of CPU of the process and its descendants, the dead ones' included."""
        ticks = 0
        for pid in family(self.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the MiB that the process and its descendants hold."""
        kib = 0
        for pid in family(self.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        kib += int(line.split()[1])
        return kib / 1024


class Candidate(NamedTuple):
    """A name, and how the program behind it is started over a provider's address."""

    name: str
    start: Callable[[str, int], contextlib.AbstractContextManager[Running]]
    """Takes the provider's address and the calls at once that it is told, 0: nothing is told."""


def family(pid: int) -> list[int]:
    """Return the process and its descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def process(words: list[str], url: str, **env: str) -> Iterator[int]:
    """Run a program until the block ends; wait until `url` answers; yield its process."""
    with tempfile.TemporaryFile("w+") as log:
        started = subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment(**env)
        )
        try:
            _wait(url, started, words[0])
            yield started.pid
        except SystemExit:
            log.seek(0)
            print(log.read()[-2000:], file=sys.stderr)
            raise
        finally:
            for pid in reversed(family(started.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 15)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(10)
            started.kill()
            started.wait()


def _wait(url: str, started: "subprocess.Popen[bytes]", name: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and started.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except HTTPError:
            return
        except (URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"{name} did not start")


def _sidecar(build: Build, path: str, expected: bytes = RIGHT) -> Callable[[str, int], Iterator[Running]]:
    def start(upstream: str, slots: int) -> Iterator[Running]:
        port = free_port()
        words = [build.python, "-m", "sidecar", "--http-mode", "--port", str(port), "--base-url", f"{upstream}/v1"]
        words += ["--concurrency", str(slots or 64), "--queue-size", "4000"]
        env = {"OPENAI_API_KEY": "sk-bench", "PYTHONPATH": str(build.root), "PYTHONSAFEPATH": "1", "LOG_FORMAT": "json"}
        with process(words, f"http://127.0.0.1:{port}/health", **env) as pid:
            yield Running(Ask("127.0.0.1", port, path, (), expected), pid)

    return start


def _relay(path: str, expected: bytes = RIGHT) -> Callable[[str, int], Iterator[Running]]:
    def start(upstream: str, slots: int) -> Iterator[Running]:
        with subprocess.Popen(
            [sys.executable, str(HERE / "relay.py"), upstream, str(slots or 64)],
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        ) as started:
            assert started.stdout is not None
            port = int(started.stdout.readline().strip().rpartition(":")[2])
            try:
                yield Running(Ask("127.0.0.1", port, path, (), expected), started.pid)
            finally:
                started.terminate()

    return start


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 8192; }}
http {{
  access_log {folder}/access; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 1000000;
  upstream provider {{ server {address}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://provider; }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout queue 25s
frontend in
  bind 127.0.0.1:{port} backlog 4096
  default_backend provider
backend provider
  http-reuse always
  server one {address} maxconn {slots}
"""


def _configured(words: list[str], template: str) -> Callable[[str, int], Iterator[Running]]:
    def start(upstream: str, slots: int) -> Iterator[Running]:
        with tempfile.TemporaryDirectory() as folder:
            port, address = free_port(), upstream.removeprefix("http://")
            file = Path(folder, "configuration")
            file.write_text(template.format(folder=folder, port=port, address=address, slots=slots or 64))
            # Debian has both below /usr/sbin, which a user's path may lack.
            path = shutil.which(words[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
            if path is None:
                raise SystemExit(f"{words[0]} is not installed")
            with process([path, *words[1:], str(file)], f"http://127.0.0.1:{port}/v1/models") as pid:
                yield Running(Ask("127.0.0.1", port, ROUTE, (KEY,), RIGHT), pid)

    return start


def _python(name: str, requirement: str) -> Path:
    """Return the folder of commands of an environment that has a package, made at its first use."""
    folder = CACHE / f"{name}-{requirement.rpartition('=')[2]}"
    if not (folder / "complete").exists():
        print(f"  installing {requirement} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "--quiet", requirement], check=True)
        (folder / "complete").touch()
    return folder / "bin"


def _litellm(upstream: str, slots: int) -> Iterator[Running]:
    commands = _python("litellm", f"litellm[proxy]=={LITELLM}")
    parameters = {"model": "openai/gpt-4o", "api_base": f"{upstream}/v1", "api_key": "sk-bench"}
    if slots:
        parameters |= {"max_parallel_requests": slots}
    settings = {
        "model_list": [{"model_name": "gpt-4o", "litellm_params": parameters}],
        "general_settings": {"master_key": MASTER},
        "litellm_settings": {"num_retries": 10, "request_timeout": 25, "telemetry": False},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(json.dumps(settings))  # JSON is YAML
        port = free_port()
        words = [str(commands / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
        # Else it fetches a table of prices at its start.
        with process(words, f"http://127.0.0.1:{port}/health/liveliness", LITELLM_LOCAL_MODEL_COST_MAP="True") as pid:
            yield Running(Ask("127.0.0.1", port, ROUTE, (("Authorization", f"Bearer {MASTER}"),), RIGHT), pid)


def _portkey(upstream: str, slots: int) -> Iterator[Running]:
    del slots  # it has no bound on calls at once
    folder = CACHE / f"portkey-{PORTKEY}"
    if not (folder / "complete").exists():
        print(f"  installing @portkey-ai/gateway {PORTKEY} ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", f"@portkey-ai/gateway@{PORTKEY}"], cwd=folder, check=True)
        (folder / "complete").touch()
    program = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    port = free_port()
    routing = {
        "provider": "openai",
        "api_key": "sk-bench",
        "custom_host": f"{upstream}/v1",
        "retry": {"attempts": 5, "on_status_codes": [429, 500, 502, 503, 504, 529], "use_retry_after_header": True},
    }
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node is not installed")
    with process([node, str(program), f"--port={port}", "--headless"], f"http://127.0.0.1:{port}/") as pid:
        yield Running(Ask("127.0.0.1", port, ROUTE, (("x-portkey-config", json.dumps(routing)),), RIGHT), pid)


def _smg(upstream: str, slots: int) -> Iterator[Running]:
    commands = _python("smg", f"smg=={SMG}")
    port = free_port()
    words = [str(commands / "smg"), "launch", "--host", "127.0.0.1", "--port", str(port), "--backend", "openai"]
    words += ["--worker-urls", upstream, "--disable-health-check", "--request-timeout-secs", "60"]
    words += ["--max-concurrent-requests", str(slots or 4000), "--queue-size", "4000", "--queue-timeout-secs", "25"]
    words += ["--retry-max-retries", "10", "--disable-circuit-breaker", "--prometheus-port", str(free_port())]
    with process(words, f"http://127.0.0.1:{port}/health") as pid:
        yield Running(Ask("127.0.0.1", port, ROUTE, (KEY,), RIGHT), pid)


def _candidate(name: str, start: Callable[[str, int], Iterator[Running]]) -> Candidate:
    return Candidate(name, contextlib.contextmanager(start))


def sidecars(build: Build = THIS) -> dict[str, Candidate]:
    """Return a build's routes."""
    suffix = "" if build is THIS else f" of {build.name}"
    return {
        "ai": _candidate(f"/ai{suffix}", _sidecar(build, "/ai", b'"success":true')),
        "v1": _candidate(f"/v1{suffix}", _sidecar(build, ROUTE)),
    }


RELAYS = {
    "ai": _candidate("bare relay", _relay("/ai", b'"success": true')),
    "v1": _candidate("bare streaming relay", _relay(ROUTE)),
}
SERVERS = {
    "nginx": _candidate("nginx", _configured(["nginx", "-c"], NGINX)),
    "haproxy": _candidate("HAProxy", _configured(["haproxy", "-f"], HAPROXY)),
}
PEERS = {
    "litellm": _candidate(f"LiteLLM proxy {LITELLM}", _litellm),
    "portkey": _candidate(f"Portkey gateway {PORTKEY}", _portkey),
    "smg": _candidate(f"smg {SMG}", _smg),
}
