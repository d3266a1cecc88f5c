"""No key, no token and no text of a user in any log, error, status or argument, on any path, failures included."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.canaries import (
    ALL,
    KEY,
    SECRET,
    TEXT,
    TOKEN,
    TROUBLES,
    USER,
    answered,
    environment,
    operators_pages,
    request,
    seen_by_others,
    shared_memory,
)
from tests.support.http_sidecar import head, post
from tests.support.paths import ROOT
from tests.support.server_process import Served, served


async def everything(server: Served, raw: bytes) -> bytes:
    """All bytes of an answer that ends its connection."""
    async with await server.call() as caller:
        await caller.send(raw)
        return await caller.rest()


def completion(trouble: str, *, stream: bool = False) -> bytes:
    """The same text as a body of the OpenAI-compatible route, with a secret in every place a client may put one."""
    content = f"{TEXT} [demo {trouble}]" if trouble else TEXT
    body = {"model": "canaryTEXT4714", "messages": [{"role": "user", "content": content}], "user": USER}
    return json.dumps(body | {"stream": stream, "metadata": {"canaryTEXT4714": TEXT}}).encode()


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_openai_compatible_route_keeps_every_secret(demo: Demo, tmp_path: Path, processes: int) -> None:
    """Whole, streamed and shared, through every trouble and every refusal: neither log, error, /status nor usage."""
    path, usage = "/v1/chat/completions", tmp_path / "usage.db"
    env = environment(demo) | {"USAGE_FILE": str(usage), "USAGE_USERS": "true", "PROCESSES": str(processes)}
    async with served(**env) as server:
        bearer = f"Authorization: Bearer {TOKEN}"
        said = b""
        for trouble in TROUBLES:
            await answered(server, post(completion(""), bearer, path=path))
            lines = (bearer, "Connection: close", "X-Request-Timeout: 1")
            raws = [
                post(completion(trouble, stream=stream), *lines, path=path + query)
                for query, stream in (("", False), ("?action=summarize", False), ("", True))
            ]
            for answer in await asyncio.gather(*(everything(server, raw) for raw in raws)):
                if not answer.startswith(b"HTTP/1.1 200"):
                    said += answer
        cut = post(completion("stream_cut=true", stream=True), bearer, "Connection: close", path=path)
        said += (await everything(server, cut)).rpartition(b"data: ")[2]
        good = completion("")
        for raw in (
            post(good, path=path),
            post(good, f"Authorization: Bearer {TOKEN}x", path=path),
            post(good, f"api-key: {KEY}", path=path),
            post(good[:-9], bearer, path=path),
            post(b'{"messages": "canaryTEXT4714"}', bearer, path=path),
            post(good.replace(b'"user"', b'"stream": "canaryTEXT4714", "x"'), bearer, path=path),
            post(good, bearer, path="/v1/canaryTEXT4714"),
            post(good, bearer, path=f"{path}?action=canaryTEXT4714&deadline=0.001"),
            post(good, bearer, path=f"{path}/canaryTEXT4714?canaryTEXT4714"),
            head(bearer, path="/v1/models/canaryTEXT4714", method="GET"),
            post(good, bearer, kind="text/canaryTEXT4714", path=path),
            b"POST /v1/canaryTEXT4714 canaryTEXT4714\r\n\r\n",
        ):
            refused = await server.fetch(raw)
            assert refused.status >= 400
            said += refused.body
        said += await operators_pages(server) + await seen_by_others(server) + shared_memory(server)
        server.process.terminate()
        assert await server.ended() == 0
    assert b"upstream_error" in said
    written = usage.read_bytes()
    assert b"upstream_error" in written
    for canary in ALL:
        assert canary.encode() not in server.raw
        assert canary.encode() not in said
        assert canary.encode() not in written


async def test_a_fault_of_ours_keeps_every_secret(demo: Demo) -> None:
    """An exception nobody foresaw is logged by type and place."""
    code = (
        "import sys, sidecar.engine.actions as a\n"
        "async def broken(request, partner, limits): raise ValueError(request.content)\n"
        "a.ACTIONS = {**a.ACTIONS, 'chat': broken}\n"
        "import sidecar.engine.engine as e; e.ACTIONS = a.ACTIONS\n"
        "from sidecar.cli.main import main; sys.exit(main())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        "--stdio",
        cwd=ROOT,
        env=environment(demo),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(request("") + b"\n")
    assert json.loads(out)["code"] == "internal"
    assert b"ValueError" in err
    for canary in ALL:
        assert canary.encode() not in out + err


async def test_the_one_shot_process_keeps_every_secret(demo: Demo) -> None:
    """The same troubles over stdio: errors on stdout and warnings on stderr hold nothing."""
    lines = b"".join(request(trouble) + b"\n" for trouble in TROUBLES) + b'{"canaryTEXT4714\n'
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sidecar",
        "--stdio",
        cwd=ROOT,
        env=environment(demo),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(lines)
    replies = [json.loads(line) for line in out.splitlines()]
    assert len(replies) == len(TROUBLES) + 1
    failures = json.dumps([reply for reply in replies if not reply["success"]]).encode()
    for canary in ALL:
        assert canary.encode() not in failures + err


@pytest.mark.parametrize("wrong", ["OPENAI_API_KEY", "SIDECAR_TOKEN", "USER_SECRET"])
async def test_a_wrong_secret_is_not_shown(demo: Demo, wrong: str) -> None:
    """A fault in a secret names the setting only."""
    env = environment(demo) | {wrong: f"{SECRET} with a space"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "--http-mode", cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert wrong.encode() in err
    for canary in ALL:
        assert canary.encode() not in err


@pytest.mark.parametrize(
    "command", [["--port=0"], ["worker"], ["batch", "in", "out"], ["doctor"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize("words", [[f"--openai-api-key={KEY}"], ["--apikey", KEY], [KEY]], ids=["=", "space", "bare"])
async def test_a_mistyped_flag_does_not_show_its_value(command: list[str], words: list[str]) -> None:
    """What is said of it goes to a journal or to PHP's error log, and it may be the key."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", *command, *words, cwd=ROOT, env={}, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, err.count(b"\n")) == (2, 1)
    assert KEY.encode() not in err
    if words[0].startswith("-"):
        assert words[0].partition("=")[0].encode() in err
