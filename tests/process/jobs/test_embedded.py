"""Promises of REDIS_URL=embedded: one command has jobs, whichever process is killed, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sidecar.core.contract import Request
from sidecar.core.errors import JobsUnavailable
from sidecar.jobs.store import JobStore
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE, Served, served
from tests.support.workers import ended, jobs_of, lecture, until

DEMO = ("--demo", "--jobs")


@pytest.fixture
def folder() -> Iterator[str]:
    """A short path: a unix socket's has a limit."""
    with tempfile.TemporaryDirectory(prefix="sidecar") as path:
        yield f"{path}/state"


def family(folder: str) -> dict[str, int]:
    """Who of a server's is alive, by what it is: server, valkey, worker."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words, env = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        except OSError:
            continue
        if folder.encode() in words + env and int(place.name) != os.getpid():
            name = "valkey" if b"valkey-server" in words else "worker" if b"worker" in words else "server"
            found[name] = int(place.name)
    return found


def of_process(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


def open_to_others(folder: str) -> list[Path]:
    return [path for path in (Path(folder), *Path(folder).rglob("*")) if path.stat().st_mode & 0o077]


def break_file(folder: str) -> None:
    """What is there is no file of Valkey's."""
    broken = Path(folder, "appendonlydir", "appendonly.aof.manifest")
    broken.parent.mkdir(parents=True)
    broken.write_text("nonsense\n")


async def seen(folder: str, right: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    async with asyncio.timeout(PATIENCE):
        while not right(family(folder)):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.02)
    return family(folder)


def with_jobs(folder: str, *words: str, **env: str) -> AbstractAsyncContextManager[Served]:
    return served(*(words or DEMO), f"--state-dir={folder}", **env)


@asynccontextmanager
async def jobs(folder: str) -> AsyncIterator[JobStore]:
    async with jobs_of(REDIS_URL=f"unix://{folder}/valkey.sock") as store:
        yield store


async def done(store: JobStore, number: int) -> str:
    """Enqueue a job, however long there is no Valkey; its id once it is complete."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                [job] = await store.enqueue([lecture(number, 3)])
                break
            except JobsUnavailable:
                await asyncio.sleep(0.05)
    [job_seen] = await until(store, [job.job_id], ended)
    assert job_seen is not None
    assert (job_seen.status, bool(job_seen.data)) == ("complete", True)
    return job.job_id


async def on_disk(folder: str) -> None:
    """Return once all that was said to Valkey is in its file."""
    async with Redis(unix_socket_path=f"{folder}/valkey.sock") as client:
        await client.execute_command("WAITAOF", 1, 0, 30_000)  # type: ignore[no-untyped-call]


async def kept(store: JobStore, job_id: str) -> None:
    [job] = await until(store, [job_id], lambda jobs: jobs[0] is not None)
    assert job is not None
    assert job.status == "complete"


async def test_one_command_has_server_and_jobs(folder: str) -> None:
    """The demo answers /ai and the worker's jobs alike; SIGTERM ends all of it, with exit code 0 and the file kept."""
    async with with_jobs(folder) as server, jobs(folder) as store:
        job_id = await done(store, 1)
        assert (await server.chat("Why?"))["success"]
        alive = family(folder)
        assert sorted(alive) == ["server", "valkey", "worker"]
        assert open_to_others(folder) == []
        # A Ctrl-C in a terminal goes to its whole session; the server alone is to hear it.
        assert len({os.getsid(pid) for pid in alive.values()}) == 3
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert family(folder) == {}
        assert [line["event"] for line in server.log if line["event"].startswith("child")] == []
        async with with_jobs(folder):
            await kept(store, job_id)


async def test_sigterm_lets_a_job_at_work_end(folder: str) -> None:
    """Within the grace the worker finishes what it has, and Valkey is there until it has."""
    async with jobs(folder) as store:
        async with with_jobs(folder) as server:
            await server.event("working")
            text = "Rivers run to the sea. [demo latency=2]"
            [job] = await store.enqueue([Request(action="summarize", content=text)])
            await until(store, [job.job_id], lambda seen: seen[0] is not None and seen[0].status == "in_progress")
            server.process.send_signal(signal.SIGTERM)
            assert await server.ended() == 0
        async with with_jobs(folder):
            await kept(store, job.job_id)


async def test_a_killed_worker_is_replaced(folder: str) -> None:
    """The next job finds another one."""
    async with with_jobs(folder) as server, jobs(folder) as store:
        await done(store, 1)
        first = family(folder)["worker"]
        os.kill(first, signal.SIGKILL)
        await done(store, 2)
        assert family(folder)["worker"] != first
        told = await server.event("child_ended")
        assert (told["child"], told["how"]) == ("worker", "SIGKILL")


async def test_a_killed_valkey_is_replaced_with_its_data(folder: str) -> None:
    """What was in its file is there again, and nothing else was restarted for it."""
    async with with_jobs(folder) as server, jobs(folder) as store:
        job_id = await done(store, 1)
        await on_disk(folder)
        before = family(folder)
        os.kill(before["valkey"], signal.SIGKILL)
        assert (await server.event("child_ended"))["child"] == "valkey"
        await kept(store, job_id)
        await done(store, 2)
        after = family(folder)
        assert after["valkey"] != before["valkey"]
        assert after["worker"] == before["worker"]


async def test_a_killed_server_leaves_nobody_behind(folder: str) -> None:
    """Valkey writes its file and ends, the worker ends; the next start has the jobs."""
    async with jobs(folder) as store:
        async with with_jobs(folder) as server:
            job_id = await done(store, 1)
            server.process.kill()
            await seen(folder, lambda alive: not alive)
        async with with_jobs(folder):
            await kept(store, job_id)
            await done(store, 2)


async def test_a_valkey_left_over_is_ended_first(folder: str) -> None:
    """One that could not hear of its server's death holds its files: it is told once more, and its file taken over."""
    async with jobs(folder) as store:
        async with with_jobs(folder) as server:
            job_id = await done(store, 1)
            left = family(folder)["valkey"]
            os.kill(left, signal.SIGSTOP)
            server.process.kill()
            await seen(folder, lambda alive: list(alive) == ["valkey"])
        async with with_jobs(folder) as server:
            assert (await server.event("leftover"))["pid"] == left
            await kept(store, job_id)
            assert family(folder)["valkey"] != left
            await done(store, 2)


async def test_a_second_server_on_the_folder_serves_and_waits_with_its_jobs(folder: str) -> None:
    """A restart's two generations: the new one answers at once, and takes the jobs over when the old one ends."""
    async with jobs(folder) as store, with_jobs(folder) as old:
        job_id = await done(store, 1)
        async with with_jobs(folder) as new:
            assert "another server" in (await new.event("embedded_waits"))["reason"]
            assert (await new.chat("Why?"))["success"]
            old.process.send_signal(signal.SIGTERM)
            assert await old.ended() == 0
            await new.event("embedded")
            await kept(store, job_id)
            await done(store, 2)


async def test_settings_reach_the_worker_and_secrets_no_command_line(folder: str, tmp_path: Path) -> None:
    """Flags, the env file and secret files, all by the worker's environment; Valkey's has nothing at all."""
    file, secret = tmp_path / "env", tmp_path / "secret"
    secret.write_text("canary-user-secret\n")
    file.write_text(f'USER_SECRET_FILE={secret}\nSEND_USER=true\nEXTRA_BODY={{"key": "canary-extra"}}\nMAX_TOKENS=77\n')
    words = ("--jobs", f"--env-file={file}", "--base-url=http://127.0.0.1:9/v1", "--call-timeout=33.5")
    env = {
        "OPENAI_API_KEY": "canary-key",
        "SIDECAR_TOKEN": "canary-token",
        "HTTPS_PROXY": "http://u:canary@127.0.0.1:9",
    }
    async with with_jobs(folder, *words, **env) as server:
        await server.event("working")
        alive = family(folder)
        for name, pid in alive.items():
            assert b"canary" not in of_process(pid, "cmdline"), name
        assert of_process(alive["valkey"], "environ").strip(b"\0") == b""
        entries = of_process(alive["worker"], "environ").decode().split("\0")
        got = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    assert got["OPENAI_API_KEY"] == "canary-key"
    assert (got["USER_SECRET"], got["SEND_USER"], got["MAX_TOKENS"]) == ("canary-user-secret", "true", "77")
    assert got["EXTRA_BODY"] == '{"key":"canary-extra"}'
    assert (got["OPENAI_BASE_URL"], float(got["CALL_TIMEOUT"])) == ("http://127.0.0.1:9/v1", 33.5)
    assert got["https_proxy"] == env["HTTPS_PROXY"]
    assert not [name for name in got if name.endswith("_FILE")]


@pytest.mark.parametrize(
    ("state", "words"),
    [("/proc/nowhere", "cannot be made"), (f"/tmp/{'x' * 120}", "too long"), ("/tmp", "every user can write")],
)
async def test_a_folder_that_will_not_do_stops_it_at_once(state: str, words: str) -> None:
    """Exit code 2 and one line, as for any setting that makes no sense."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "--http-mode", "--port=0"),
        *(*DEMO, f"--state-dir={state}"),
        cwd=ROOT,
        env={},
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(PATIENCE):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert words in said.decode().splitlines()[-1]


async def test_a_valkey_that_cannot_start_costs_the_jobs_only(folder: str) -> None:
    """A broken file: the server answers, and the log has Valkey's own last line."""
    break_file(folder)
    async with with_jobs(folder) as server:
        told = await server.event("child_ended")
        assert told["child"] == "valkey"
        assert "AOF" in told["how"]
        assert (await server.chat("Why?"))["success"]
        server.process.send_signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert family(folder) == {}
