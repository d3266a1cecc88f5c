"""The container's health check, run as Docker runs it, against a stand-in that answers one status."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.paths import ROOT


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server whose every answer has that status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="stand-in")
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


Check = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def check() -> Check:
    def run(**variables: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
        return subprocess.run(
            [sys.executable, str(ROOT / "deploy/healthcheck.py")],
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_a_sidecar_that_answers_is_healthy(check: Check, host: str) -> None:
    """Whatever address it listens on, it is asked from inside its container."""
    with answering(200) as port:
        assert check(PORT=str(port), HOST=host).returncode == 0


def test_a_draining_sidecar_is_not(check: Check) -> None:
    """Nothing should start to rely on one that stops."""
    with answering(503) as port:
        assert check(PORT=str(port)).returncode == 1


def test_one_that_does_not_answer_is_not(check: Check) -> None:
    """Docker's log gets one line that says why, not a traceback."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = check(PORT=str(unused.getsockname()[1]))

    assert result.returncode == 1
    assert result.stderr.startswith("no answer: ")
    assert result.stderr.count("\n") == 1
