"""The commands `enqueue` and `collect` for tests: started, given their lines and heard. No promises here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any, NamedTuple

from sidecar.core.contract import Request
from sidecar.jobs.store import JobStore
from tests.support.paths import ROOT
from tests.support.server_process import finished
from tests.support.valkey import Valkey
from tests.support.workers import PATIENCE, CountingProvider

KEY = "sk-canary4716"
TEXT = "canaryTEXT4717"


class Done(NamedTuple):
    """What a command left."""

    code: int
    lines: list[Any]
    said: str


async def start(*words: str, env: dict[str, str]) -> Process:
    """Start a command in an environment of `env` alone."""
    command = [sys.executable, "-m", "sidecar", *words]
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=2**26
    )


async def finish(process: Process, stdin: bytes = b"") -> Done:
    code, out, said = await finished(process, stdin)
    return Done(code, [json.loads(line) for line in out.splitlines()], said)


async def command(*words: str, stdin: bytes = b"", env: dict[str, str]) -> Done:
    return await finish(await start(*words, env=env), stdin)


def lines_of(requests: list[Request]) -> bytes:
    return b"".join(
        json.dumps({"action": r.action, "content": r.content, "user_id": r.user_id or None}).encode() + b"\n"
        for r in requests
    )


def environment(server: Valkey, provider: CountingProvider | None = None) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": provider.url if provider else "http://127.0.0.1:1/v1",
        "REDIS_URL": server.url,
        "LOG_LEVEL": "debug",
    }


async def put(store: JobStore, job_id: str, **fields: str) -> None:
    """Write fields of a job's record, which no worker did."""
    pipe = store.redis.pipeline()
    pipe.hset(store.names.job(job_id), mapping=fields)
    await pipe.execute()


async def said(process: Process, words: str) -> str:
    """Return what the process said on stderr, up to a line with `words` in it."""
    assert process.stderr is not None
    heard = ""
    async with asyncio.timeout(PATIENCE):
        while words not in heard:
            line = await process.stderr.readline()
            assert line, heard
            heard += line.decode()
    return heard
