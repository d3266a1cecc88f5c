"""What loading the adapters costs, and what is not loaded: proved by looking at modules, not at milliseconds."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from sidecar.core.errors import DeadlineExceeded
from sidecar.provider.openai_sdk import SdkUpstream
from sidecar.provider.stdlib.client import LightUpstream
from tests.support.scripted_provider import call, canned, completed, opened, settings_of, soon

HEAVY = {
    "openai",
    "httpx2",
    "aiohttp",
    "pydantic",
    "http.client",
    "urllib.request",
    "email",
    "concurrent.futures.thread",
}


def run(program: str, **environ: str) -> str:
    """What a fresh Python says when it runs `program`; stderr counts."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["stdlib.client", "openai_sdk"])
def test_importing_an_adapter_loads_nothing_heavy(name: str) -> None:
    """The one-shot process never pays for an HTTP library; the server listens before the SDK is there."""
    modules = run(f"import sys, sidecar.provider.{name}; print(*sys.modules)").split()
    assert not HEAVY & set(modules)


def test_a_whole_light_call_loads_nothing_heavy() -> None:
    """Nor does making the adapter, looking up a name, or failing."""
    program = """
import asyncio, sys
from sidecar.provider.stdlib.client import LightUpstream
from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.ports import Call
from sidecar.config.load import load

async def main():
    upstream = LightUpstream(load({}, None, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://nonexistent.invalid"}))
    try:
        await upstream.complete(Call(messages=[], max_tokens=1), deadline=asyncio.get_running_loop().time() + 20)
    except UpstreamUnreachable:
        print(*sys.modules)
    await upstream.aclose()

asyncio.run(main())
"""
    modules = run(program).split()
    assert "sidecar.provider.stdlib.connect" in modules
    assert not HEAVY & set(modules)


def test_a_name_lookup_that_hangs_does_not_keep_the_process() -> None:
    """A caller reads the process's output to its end: it ends at the deadline, whatever a resolver does."""
    program = """
import asyncio, socket, threading
from sidecar.provider.stdlib.client import LightUpstream
from sidecar.core.errors import DeadlineExceeded
from sidecar.core.ports import Call
from sidecar.config.load import load

socket.getaddrinfo = lambda *args, **kwargs: threading.Event().wait()

async def main():
    upstream = LightUpstream(load({}, None, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://slow.invalid"}))
    try:
        await upstream.complete(Call(messages=[], max_tokens=1), deadline=asyncio.get_running_loop().time() + 0.1)
    except DeadlineExceeded:
        print("on time")
    await upstream.aclose()

asyncio.run(main())
"""
    assert run(program) == "on time\n"


def test_the_sdks_own_logging_stays_off() -> None:
    """OPENAI_LOG=debug puts no handler on the root logger and prints nothing, httpx2's addresses included."""
    program = """
import logging
import sidecar.provider.openai_sdk.client
assert not logging.getLogger().handlers, logging.getLogger().handlers
logging.basicConfig(level=logging.DEBUG)
for name in ("openai", "openai._base_client", "httpx2"):
    logging.getLogger(name).critical("a text")
"""
    assert run(program, OPENAI_LOG="debug") == ""


async def test_calls_wait_for_the_sdk_within_their_deadlines() -> None:
    """One that cannot wait so long ends on time; the loading goes on, and the next one is served."""
    gate = threading.Event()
    async with canned() as provider:
        upstream = SdkUpstream(settings_of(provider.url))
        load = upstream._open

        def held() -> Any:
            gate.wait()
            return load()

        upstream._open = held  # type: ignore[method-assign]
        loading = upstream.warm()
        assert upstream.warm() is loading
        with pytest.raises(DeadlineExceeded):
            await upstream.complete(call(), deadline=soon(0.05))
        gate.set()
        assert (await completed(upstream)).text == "Hello."
        assert loading.done()
        await upstream.aclose()


async def test_an_adapter_that_was_never_used_closes() -> None:
    """A server that is stopped at once has nothing to wait for."""
    async with opened(SdkUpstream, "http://provider.invalid"):
        pass


async def test_the_next_address_is_tried_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with a dead address beside a living one is reached, and no socket is left behind."""
    async with canned() as provider:
        dead = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        gone = dead.sockets[0].getsockname()
        dead.close()
        await dead.wait_closed()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in (gone, ("127.0.0.1", provider.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)
        async with opened(LightUpstream, "http://two.invalid/v1") as upstream:
            assert (await completed(upstream)).text == "Hello."
