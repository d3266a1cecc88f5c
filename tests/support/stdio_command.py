"""The command on stdio for tests: started with exact descriptors and read to its end. No promises here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sidecar.demo.provider import Demo
from tests.support.paths import ROOT

PATIENCE = 60.0
CHAT = b'{"action": "chat", "content": "What is a fraction?", "context": "", "user_id": "7"}\n'
STALLED = b'{"action": "chat", "content": "[demo stall=1]"}\n'


class Ended(NamedTuple):
    """What a process left."""

    code: int
    replies: list[Any]
    stderr: bytes


def php_flags(demo: Demo) -> list[str]:
    """Return the flags that the deployed communicator gives, in its form."""
    return [
        "--api-key=sk-canary-key",
        f"--base-url={demo.url}/v1",
        "--model=demo",
        "--max-tokens=500",
        "--summarize-threshold=2000",
    ]


@asynccontextmanager
async def started(*words: str, shell: str = "", **env: str) -> AsyncIterator[Process]:
    """Start the command in an environment of `env` alone; `shell` redirects its descriptors."""
    command = [sys.executable, "-m", "sidecar", *words]
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=2**26
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(text: bytes, *words: str, shell: str = "", **env: str) -> Ended:
    """Write `text`, close, and read to the end, as PHP does."""
    async with started(*words, shell=shell, **env) as process, asyncio.timeout(PATIENCE):
        stdout, stderr = await process.communicate(text)
    assert process.returncode is not None
    return Ended(process.returncode, [json.loads(line) for line in stdout.splitlines()], stderr)
