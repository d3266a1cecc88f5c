"""Promises of REDIS_URL=embedded: one command has server and jobs, and a folder that will not do costs little."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from sidecar.core.contract import Request
from tests.support.embedded_jobs import (
    DEMO,
    break_file,
    done,
    family,
    jobs,
    kept,
    of_process,
    open_to_others,
    with_jobs,
)
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE
from tests.support.workers import until


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
