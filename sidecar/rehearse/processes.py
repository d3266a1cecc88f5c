"""Demo provider and sidecar as processes of this rehearsal: started on free ports, and ended with it."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from sidecar.config.load import environment_for_child
from sidecar.config.settings import Settings
from sidecar.core.errors import plain
from sidecar.runtime import parent_death

START_SECONDS: Final = 60.0
"""Bound of a start; a busy machine compiles and imports for long."""
_STOP_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 2**20


class NotStartedError(Exception):
    """A process that did not start; the message is one line for a person."""


class Own(msgspec.Struct, frozen=True):
    """Base addresses of both, and the sidecar's token."""

    sidecar: str
    demo: str
    token: str


@contextlib.asynccontextmanager
async def own_processes(settings: Settings, demo_flags: Sequence[str]) -> AsyncIterator[Own]:
    """Run a demo provider with `demo_flags`, and a sidecar with `settings` that calls this provider.

    Raises:
        NotStartedError: one of them ended, or was not ready in time.

    """
    token = secrets.token_urlsafe()
    with TemporaryDirectory(prefix="rehearsal-") as folder:
        settings = demo_settings(settings, token=token, state_dir=folder)
        env = environment_for_child(settings)
        async with _running("demo provider", ["demo-upstream", "--port=0", *demo_flags], env, _demo_address) as demo:
            env = environment_for_child(msgspec.structs.replace(settings, openai_base_url=f"{demo}/v1"))
            words = ["--env-file=/dev/null", "--http-mode"]
            async with _running("sidecar", words, env, _sidecar_address) as sidecar:
                yield Own(sidecar, demo, token)


def demo_settings(settings: Settings, *, token: str, state_dir: str) -> Settings:
    """Return the settings of the rehearsal's sidecar: the site's, less all that its requests must not reach.

    That is whatever lies outside this machine, and the site's own counters: its usage, and its tokens of the day.
    """
    return msgspec.structs.replace(
        settings,
        openai_base_url="http://127.0.0.1",
        openai_model="demo",
        openai_api_key="demo",
        openai_api_key_file="",
        openai_org_id="",
        openai_project_id="",
        azure_auth="auto",
        proxies={},
        providers_file="",
        providers=(),
        redis_url="",
        sidecar_token=token,
        ai_require_token=False,
        usage_file="",
        state_dir=state_dir,
        tracing=False,
        http_mode=True,
        host="127.0.0.1",
        port=0,
        log_level="info",
        log_format="json",
        shutdown_grace=0.5,
    )


@contextlib.asynccontextmanager
async def _running(
    name: str, words: Sequence[str], env: Mapping[str, str], address: Callable[[bytes], str]
) -> AsyncIterator[str]:
    """Run our command with `words`; give the address that `address` finds in a line of its stderr."""
    # -I and -S: nothing of this machine's or of the working directory's is imported for four system calls.
    first = (sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid()), str(int(signal.SIGTERM)), "")
    process = await asyncio.create_subprocess_exec(
        *first,
        *(sys.executable, "-P", "-m", "sidecar", *words),
        env=env,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        limit=_LONGEST_LINE,
        start_new_session=True,  # Ctrl-C goes to a terminal's whole group, and the order of stopping is ours
    )
    reading: asyncio.Task[None] | None = None
    try:
        found = await _address(name, process, address)
        reading = asyncio.create_task(_discard(process), name=f"log of the {name}")
        yield found
    finally:
        await _stop(process)
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _address(name: str, process: Process, address: Callable[[bytes], str]) -> str:
    last: deque[bytes] = deque(maxlen=1)
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in _log(process):
                if found := address(line):
                    return found
                last.append(line)
    except TimeoutError:
        raise NotStartedError(f"the {name} was not ready within {START_SECONDS:.0f} s") from None
    said = plain(last[0].decode("utf-8", "replace").strip(), 200) if last else "without a word"
    raise NotStartedError(f"the {name} did not start: {said}")


async def _discard(process: Process) -> None:
    """Read the log, so that the process never blocks on a full pipe."""
    while await _log(process).read(65_536):
        pass


def _log(process: Process) -> asyncio.StreamReader:
    if process.stderr is None:
        raise NotStartedError("the process has no stderr")
    return process.stderr


async def _stop(process: Process) -> None:
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, None)):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()


def _demo_address(line: bytes) -> str:
    words = line.decode("utf-8", "replace").split()
    return next((word.removesuffix("/v1") for word in words if word.startswith("http://")), "")


def _sidecar_address(line: bytes) -> str:
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return ""
    match event:
        case {"event": "listening", "ai": str(url)}:
            return url.removesuffix("/ai")
    return ""
