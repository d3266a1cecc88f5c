"""Promises of the demo provider's command: its flags, its help, and a signal that ends it."""

import asyncio
import json
import sys
from signal import SIGINT, SIGTERM

import aiohttp
import pytest

from sidecar.demo.options import MEANINGS

COMMAND = "import sys; from sidecar.demo.command import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
async def test_the_command_serves_and_stops_on_a_signal(number: int) -> None:
    """It says where it listens in one line, behaves as its flags say, and a signal ends it with 0."""
    args = ("--port=0", "--fail=1", "--status", "418", "--queue")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, *args, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        assert line.startswith("demo provider on http://127.0.0.1:")
        assert line.endswith("/v1 (canned answers, not a model)\n")
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{line.split()[3]}/chat/completions", json=body) as response:
                assert response.status == 418
                assert json.loads(await response.read())["error"]
            process.send_signal(number)
            assert await process.wait() == 0
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--nope",), "--nope"),
        (("--latency=soon",), "latency"),
        (("--voice=loud",), "voice"),
        (("--slots-by-turns=3,4",), "slots_by_turns"),
        (("--port=0", "--host=192.0.2.1"), "192.0.2.1"),
        (("--port=65536",), "0 to 65535"),
        (("--port=soon",), "0 to 65535"),
    ],
)
async def test_the_command_refuses_what_makes_no_sense(args: tuple[str, ...], named: str) -> None:
    """Wrong flags, values and addresses end it with 2 and one line."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, *args, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode().count("\n") == 1
    assert named in err.decode()


async def test_the_help_lists_every_option() -> None:
    """Whatever the provider can be told stands in its help, with the names of all voices."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, "--help", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    text = " ".join(out.decode().split())
    assert all(f"--{name.replace('_', '-')} " in text for name in MEANINGS)
    assert "openai, azure, bare, 503, 529, gemini, openrouter, long, reset, queue" in text
