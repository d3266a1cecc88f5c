"""Several providers and the real command: a burst at two demo providers, and another file in the middle of it."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.doctor_command import doctor, report
from tests.support.http_sidecar import Answer, post
from tests.support.paths import ROOT
from tests.support.server_process import Served, finished, served

SLOTS = Options(latency=0.3, slots=8)


def table(name: str, demo: Demo, **fields: object) -> str:
    values = {"name": name, "base_url": f"{demo.url}/v1", "model": "demo"} | fields
    return "[[provider]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@asynccontextmanager
async def demos(count: int, options: Options = SLOTS) -> AsyncIterator[list[Demo]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serve(options, keep=1000)) for _ in range(count)]


@asynccontextmanager
async def demo_process(*words: str) -> AsyncIterator[tuple[Process, str]]:
    """Run a demo provider as a process of its own, which a test can kill; yield its base URL too."""
    command = [sys.executable, "-m", "sidecar", "demo-upstream", "--port=0", *words]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=PIPE)
    assert process.stderr is not None
    try:
        yield process, (await process.stderr.readline()).split()[3].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def chat(text: str, **more: object) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "user": text} | more).encode()
    return post(body, "Connection: close", path="/v1/chat/completions")


def mistakes(log: Sequence[dict[str, Any]]) -> list[str]:
    return [line["fault"] for line in log if line["event"] == "providers_kept"]


async def ask(server: Served, text: str, **more: object) -> Answer:
    return await server.fetch(chat(text, **more))


async def test_another_file_in_the_middle_of_a_burst_loses_nobody(tmp_path: Path) -> None:
    """One provider leaves and one comes: all are answered, calls under way where they are, later ones by the new."""
    file = tmp_path / "providers.toml"
    async with demos(3) as (eu, us, asia):
        file.write_text(table("eu", eu) + table("us", us))
        async with served(PROVIDERS_FILE=str(file)) as server:
            assert {line["host"] for line in server.log if line["event"] == "provider"} == {
                demo.url.removeprefix("http://") for demo in (eu, us)
            }
            coming = [asyncio.create_task(ask(server, f"caller {number}")) for number in range(150)]
            await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            file.write_text(table("eu", eu) + table("asia", asia, classes=["interactive"]))
            server.process.send_signal(signal.SIGHUP)
            await server.event("providers_read", providers=["eu", "asia"])
            answers = await asyncio.gather(*coming)
            assert {answer.status for answer in answers} == {200}
            names = [answer.headers["x-sidecar-provider"] for answer in answers]
            assert set(names) == {"eu", "us", "asia"}
            before = us.stats.received
            await asyncio.gather(*(ask(server, f"later {number}") for number in range(20)))
            assert us.stats.received == before
            status = (await server.get("/status")).json
            assert (set(status["providers"]), status["slots"]["running"]) == ({"eu", "asia"}, 0)
            assert status["providers"]["eu"]["limit"]["refused"] > 0
            assert status["limit"]["refused"] >= status["providers"]["eu"]["limit"]["refused"]
            await server.until(lambda log: sum(line["event"] == "answered" for line in log) == 170)
            logged = [line.get("provider") for line in server.log if line["event"] == "answered"]
            assert {name: logged.count(name) for name in ("us", "asia")} == {
                "us": names.count("us"),
                "asia": asia.stats.answered,
            }


async def test_a_provider_that_is_killed_in_a_burst_takes_only_its_own_calls_along(tmp_path: Path) -> None:
    """Nobody fails but those it was answering, and nobody is left without a reply; the log says that it is down."""
    file = tmp_path / "providers.toml"
    async with demos(1) as (us,), demo_process("--latency=0.2", "--slots=8") as (process, url):
        file.write_text(table("eu", us, base_url=url) + table("us", us))
        async with served(PROVIDERS_FILE=str(file)) as server:
            coming = [asyncio.create_task(ask(server, f"caller {number}")) for number in range(80)]
            await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            process.send_signal(signal.SIGSTOP)  # its calls in flight stay what they are
            in_flight = (await server.get("/status")).json["providers"]["eu"]["running"]
            process.kill()
            answers = await asyncio.gather(*coming)
            failed = [answer for answer in answers if answer.status != 200]
            assert {answer.status for answer in failed} <= {502}
            assert len(failed) <= in_flight < 40
            assert us.stats.answered >= 40
            await server.event("provider_down", provider="eu", code="upstream_unreachable")
            assert {(await ask(server, f"later {number}")).status for number in range(5)} == {200}


async def test_a_model_that_one_provider_lacks_is_answered_by_the_other(tmp_path: Path) -> None:
    """Its 404 costs nothing, so that no caller hears it; soon it is passed over, and the log says so."""
    file = tmp_path / "providers.toml"
    async with demos(1, Options(models="other")) as (eu,), demos(1, Options()) as (us,):
        file.write_text(table("eu", eu) + table("us", us, priority=2))
        async with served(PROVIDERS_FILE=str(file)) as server:
            for number in range(6):
                answer = await ask(server, f"caller {number}")
                assert (answer.status, answer.headers["x-sidecar-provider"]) == (200, "us")
            down = await server.event("provider_down", provider="eu", code="upstream_error")
            assert "check base_url and model of the provider eu" in down["reason"]
            assert (eu.stats.received, us.stats.answered) == (3, 6)


async def test_a_bad_file_changes_nothing_and_says_so(tmp_path: Path) -> None:
    """Each mistake is a line of the log; callers are answered as before. The right file then counts."""
    file = tmp_path / "providers.toml"
    async with demos(2, Options()) as (eu, us):
        file.write_text(table("eu", eu))
        async with served(PROVIDERS_FILE=str(file)) as server:
            file.write_text(table("us", us, concurrency=0, priority="first"))
            server.process.send_signal(signal.SIGHUP)
            await server.until(lambda log: len(mistakes(log)) == 2)
            assert [("line 5: concurrency=0" in one, "line 6: priority=" in one) for one in mistakes(server.log)] == [
                (True, False),
                (False, True),
            ]
            assert (await ask(server, "one")).headers["x-sidecar-provider"] == "eu"
            file.write_text(table("us", us))
            server.process.send_signal(signal.SIGHUP)
            await server.event("providers_read")
            async with await server.call() as caller:
                await caller.send(chat("two", stream=True))
                streamed = await caller.receive(head=True)
                assert b"data: [DONE]" in await caller.rest()
            assert (streamed.status, streamed.headers["x-sidecar-provider"]) == (200, "us")
            models = (await server.get("/v1/models")).json
            assert [model["id"] for model in models["data"]] == ["demo"]


async def test_a_wrong_file_is_told_at_the_start(tmp_path: Path) -> None:
    """Exit code 2, with line and field, by every command that calls a provider."""
    file = tmp_path / "providers.toml"
    file.write_text('[[provider]]\nname = "x y"\n')
    said = await doctor(PROVIDERS_FILE=str(file))
    assert "line 2: name=" in said.text
    assert "line 1: base_url: required" in said.text
    command = [sys.executable, "-m", "sidecar", "--http-mode", "--port=0"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={"PROVIDERS_FILE": str(file), "MAX_TOKENS": "x"}, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    code, _, err = await finished(process)
    assert code == 2
    assert "MAX_TOKENS=x" in err
    assert "line 2: name=" in err


async def test_the_doctor_looks_at_each(tmp_path: Path) -> None:
    """What fails at one provider is told with its name, and the remedy with the file's own fields."""
    file = tmp_path / "providers.toml"
    async with demos(1, Options()) as (eu,):
        file.write_text(table("eu", eu) + table("gone", eu, base_url="http://127.0.0.1:9/v1"))
        said = await report(PROVIDERS_FILE=str(file))
    assert said.state("eu: connection") == "ok"
    assert said.state("gone: connection") == "failed"
    assert "check base_url of the provider gone" in said.finding("gone: connection")["do"]
    assert "OPENAI_" not in str([found for found in said.json["findings"] if found["check"].startswith("gone: ")])


async def test_a_one_shot_process_has_the_providers_too(tmp_path: Path) -> None:
    """What the first one refuses, the second one answers, within the same click."""
    file = tmp_path / "providers.toml"
    async with demos(1, Options()) as (eu,):
        file.write_text(table("gone", eu, base_url="http://127.0.0.1:9/v1") + table("eu", eu, priority=2))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "--stdio"),
            cwd=ROOT,
            env={"PROVIDERS_FILE": str(file)},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
        )
        code, out, err = await finished(process, b'{"action": "chat", "content": "Hello"}')
    assert (code, json.loads(out)["success"], err) == (0, True, "")
