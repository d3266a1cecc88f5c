"""Signals that come while the server still reads its settings."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from sidecar.demo.server import Demo
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE, Served


async def opened(file: Path) -> int:
    """Return a descriptor of the pipe `file` once the process opens the other end."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return os.open(file, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await asyncio.sleep(0.01)


def table(name: str, demo: Demo) -> str:
    return f'[[provider]]\nname = "{name}"\nbase_url = "{demo.url}/v1"\nmodel = "demo"\n'


@pytest.mark.parametrize("command", [["--http-mode", "--port=0"], ["worker"]], ids=["server", "worker"])
async def test_a_reload_before_the_loop_runs_is_made_up_for(tmp_path: Path, demo: Demo, command: list[str]) -> None:
    """An administrator may change a file and reload while the process starts: it goes on, and has the new file."""
    file = tmp_path / "providers.toml"
    os.mkfifo(file)
    env = {"PROVIDERS_FILE": str(file), "REDIS_URL": "redis://127.0.0.1:1"}
    words = [sys.executable, "-m", "sidecar", *command, "--env-file=/dev/null", "--log-format=json"]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, limit=2**24
    )
    starting = Served(process)
    try:
        writer = await opened(file)  # the process reads its settings now
        for number in (signal.SIGUSR1, signal.SIGHUP):
            process.send_signal(number)
        file.unlink()
        file.write_text(table("two", demo))
        os.write(writer, table("one", demo).encode())
        os.close(writer)
        await starting.event("providers_read", providers=["two"])
    finally:
        process.kill()
        await starting.ended()
