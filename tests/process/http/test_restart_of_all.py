"""Everything is restarted in the middle of load, server, Redis and settings: no connection is refused or lost.

Three thousand requests with TEST_SCALE=1.
"""

import json
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.http_sidecar import Answer, post
from tests.support.scale import scaled
from tests.support.server_process import Served, served
from tests.support.steady_load import HEIR, REQUEST, load
from tests.support.valkey import Valkey, valkey

CALLS = scaled(300, 3000)
CALLERS = 24
JOBS_SHARE = 5
"""One request of so many enqueues a job."""


def request(number: int) -> bytes:
    """The next request: mostly a chat, sometimes a job of its own."""
    if number % JOBS_SHARE:
        return REQUEST
    body = json.dumps({"action": "analyze", "content": f"Text {number}"}).encode()
    return post(body, "Connection: close", path="/jobs")


def right(answer: Answer) -> bool:
    """Whether a chat is answered, and a job taken or refused in so many words."""
    return bool(answer.json["success"]) or answer.json["code"] == "jobs_unavailable"


def write(file: Path, demo: Demo, *names: str) -> None:
    file.write_text(
        "".join(f'[[provider]]\nname = "{name}"\nbase_url = "{demo.url}/v1"\nmodel = "demo"\n' for name in names)
    )


async def reload(server: Served, file: Path, demo: Demo, *names: str) -> None:
    write(file, demo, *names)
    server.process.send_signal(signal.SIGHUP)
    await server.event("providers_read", providers=[*names])


async def restart(redis: Valkey, server: Served) -> None:
    """Stop Redis, let the server see that, and start Redis again."""
    seen = len(server.log)
    await redis.stop()
    await server.event("redis_away", after=seen)
    await redis.start()
    await server.event("redis_back", after=seen)


@pytest.mark.long
async def test_restarts_of_everything_under_load_refuse_no_connection(tmp_path: Path) -> None:
    """A reload, a restart of Redis and of the server, and both again: every request gets its reply."""
    file, step = tmp_path / "providers.toml", CALLS // 6
    async with AsyncExitStack() as stack:
        demo = await stack.enter_async_context(serve(Options(latency=0.05)))
        redis = await stack.enter_async_context(valkey())
        shared = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        write(file, demo, "one")
        words = {"PROVIDERS_FILE": str(file), "REDIS_URL": redis.url, "CACHE_TTL": "0"}
        old = await stack.enter_async_context(served(shell=HEIR, stdin=shared, **words))
        async with load(shared.getsockname(), CALLERS, request, right) as callers:
            await callers.goes_on(step)
            await reload(old, file, demo, "one", "two")
            await callers.goes_on(step)
            await restart(redis, old)
            await callers.goes_on(step)
            new = await stack.enter_async_context(served(shell=HEIR, stdin=shared, **words))
            old.process.send_signal(signal.SIGTERM)
            assert await old.ended() == 0
            await callers.goes_on(step)
            await reload(new, file, demo, "two")
            await restart(redis, new)
            await callers.goes_on(step)
            new.process.send_signal(signal.SIGTERM)  # without a successor: callers wait in the backlog
            assert await new.ended() == 0
            await stack.enter_async_context(served(shell=HEIR, stdin=shared, **words))
            await callers.goes_on(step)
    assert callers.failed == []
    assert callers.answered >= CALLS
