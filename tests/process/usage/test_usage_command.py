"""Promises of USAGE_FILE and of the command `usage`: numbers that outlive their process, in every format."""

import asyncio
import csv
import io
import json
import signal
import sqlite3
import sys
import tempfile
from asyncio.subprocess import PIPE
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sidecar.usage.counts import Counts, Key
from sidecar.usage.database import add
from sidecar.usage.report import report
from tests.support.embedded_jobs import done, family, jobs, with_jobs
from tests.support.http_sidecar import post
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE, Served, finished, served
from tests.support.service_manager import service_manager

NOON = int(datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp())


async def usage(*words: str, **env: str) -> tuple[int, str, str]:
    command = (sys.executable, "-m", "sidecar", "usage", *words)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    code, out, said = await finished(process)
    return code, out.decode(), said


async def totals(path: Path, *words: str) -> dict[str, int]:
    code, out, said = await usage(str(path), "--format=json", *words, TZ="UTC")
    assert (code, said) == (0, "")
    found: dict[str, int] = json.loads(out)["total"]
    return found


def requests_in(path: Path) -> int:
    return report([str(path)], []).total[0] if path.exists() else 0


async def counted(path: Path, requests: int) -> None:
    """Return once so many requests are in the file."""
    async with asyncio.timeout(PATIENCE):
        while requests_in(path) < requests:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)


async def chats(server: Served, *users: str) -> None:
    for user in users:
        assert (await server.chat(f"Hello from {user}", user_id=user))["success"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a day's numbers."""
    found = tmp_path / "usage.db"
    rows = {
        Key(NOON, "chat", "ai", "", "", "ok", "pseudonym-1"): Counts(2, 0, 0, 2, 20, 4),
        Key(NOON, "chat", "ai", "", "", "ok", "pseudonym-2"): Counts(1, 0, 0, 1, 10, 2),
        Key(NOON, "", "ai", "", "", "invalid_json", ""): Counts(1, 1, 0, 0, 0, 0),
    }
    add(str(found), rows, since=0)
    return found


async def test_numbers_outlive_a_stop_and_a_kill(tmp_path: Path) -> None:
    """A stop writes all of them; `kill -9` leaves what was written some seconds ago. Users are pseudonyms."""
    path = tmp_path / "usage.db"
    env = {"USAGE_FILE": str(path), "USAGE_USERS": "true", "USER_SECRET": "canarySECRET4713"}
    async with served("--demo", **env) as server:
        await chats(server, "anna", "berta")
        assert not (await server.fetch(post(b"no JSON"))).json["success"]
        server.process.terminate()
        assert await server.ended() == 0
    assert requests_in(path) == 3
    async with served("--demo", **env) as server:
        await chats(server, "anna")
        await counted(path, 4)
        server.process.kill()
        await server.ended()
    users = {user: sums[0] for (user,), sums in report([str(path)], ["user"]).rows}
    assert sorted(users.values()) == [1, 1, 2]
    assert sorted(map(len, users)) == [0, 64, 64]


async def test_the_last_numbers_are_written_whatever_signals_come(tmp_path: Path) -> None:
    """Log rotation in the moment of a restart, while a backup holds the file, loses no number."""
    path = tmp_path / "usage.db"
    add(str(path), {}, since=0)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        async with served("--demo", USAGE_FILE=str(path)) as server:
            await chats(server, "anna")
            backup.execute("BEGIN IMMEDIATE")
            server.process.terminate()
            await server.event("stopped")
            for number in (signal.SIGHUP, signal.SIGUSR1):
                server.process.send_signal(number)
                await server.event("signal_ignored", signal=number.name)
            backup.execute("ROLLBACK")
            assert await server.ended() == 0
    assert requests_in(path) == 1


async def test_a_full_disk_costs_one_line_and_no_answer(tmp_path: Path) -> None:
    """The service goes on, and says at its end that the numbers are lost."""
    full = 'ulimit -f 0; exec "$@"'
    async with served("--demo", shell=full, USAGE_FILE=str(tmp_path / "usage.db")) as server:
        for _ in range(2):
            await chats(server, "anna")
            await server.event("usage_failed")
        server.process.terminate()
        assert await server.ended() == 0
    events = [line["event"] for line in server.log if line["event"].startswith("usage")]
    assert events == ["usage_failed", "usage_lost"]


async def test_the_command_says_what_was_counted(path: Path) -> None:
    """By what was chosen, with a row of totals and the time zone."""
    code, out, said = await usage("--by=action,code", USAGE_FILE=str(path), TZ="UTC")
    assert (code, said) == (0, "")
    title, _, head, *rows, total = out.splitlines()
    assert "UTC (UTC+00:00)" in title
    assert head.split()[:4] == ["action", "code", "requests", "answers"]
    assert [row.split()[:4] for row in rows] == [["-", "invalid_json", "1", "0"], ["chat", "ok", "3", "3"]]
    assert total.split()[:3] == ["total", "4", "3"]
    _, out, _ = await usage(str(path), "--by=user", "--format=csv")
    assert [(line["user"], line["requests"]) for line in csv.DictReader(io.StringIO(out))] == [
        ("", "1"),
        ("pseudonym-1", "2"),
        ("pseudonym-2", "1"),
    ]


async def test_a_period_is_chosen_by_days(path: Path) -> None:
    """A date as the end includes its day."""
    assert (await totals(path, "--since=2026-11-02", "--until=2026-11-02"))["requests"] == 4
    assert (await totals(path, "--until=2026-11-02T00:00"))["requests"] == 0
    code, out, _ = await usage(str(path), "--since=2100-01-01")
    assert (code, "No requests" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "USAGE_FILE: not set"),
        (("--by=weekday",), 2, "must be some of hour, day, month, action"),
        (("--since=yesterday",), 2, "must be a date or a time"),
        (("--format=xml",), 2, "choose from"),
        (("/nowhere/usage.db",), 1, "there is no such file"),
        ((str(ROOT / "README.md"),), 1, "not a database"),
    ],
)
async def test_a_wrong_call_says_what_is_right(words: tuple[str, ...], code: int, said: str) -> None:
    """In one line, without a traceback."""
    found, out, text = await usage(*words)
    assert (found, out) == (code, "")
    assert said in text
    assert text.count("\n") == 1


async def test_server_and_worker_count_into_one_file() -> None:
    """The embedded worker too, which reports nothing to the service manager, and which a reload leaves alive."""
    with tempfile.TemporaryDirectory(prefix="usage") as folder:
        path = Path(folder, "usage.db")
        async with service_manager(Path(folder)) as manager, jobs(f"{folder}/state") as store:
            env = {"USAGE_FILE": str(path), "NOTIFY_SOCKET": manager.address}
            async with with_jobs(f"{folder}/state", **env) as server:
                await chats(server, "anna")
                await server.event("working")
                server.process.send_signal(signal.SIGHUP)
                await manager.line("READY=1", 2)
                await done(store, 1)
                own = Path(f"/proc/{family(f'{folder}/state')['worker']}/environ").read_bytes()  # noqa: ASYNC240 - a page
                server.process.terminate()
                assert await server.ended() == 0
        assert b"NOTIFY_SOCKET" not in own
        assert manager.lines.count("READY=1") == 2
        assert [line for line in server.log if line["event"] in {"child_ended", "providers_kept"}] == []
        rows = dict(report([str(path)], ["route", "action", "code"]).rows)
        assert {key: sums[0] for key, sums in rows.items()} == {
            ("ai", "chat", "ok"): 1,
            ("job", "summarize", "ok"): 1,
        }
