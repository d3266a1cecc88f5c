"""Promises of the doctor where jobs are on: what it says of their Redis, in each state of it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from sidecar.doctor.jobs import _clock, _version
from tests.support.doctor_command import KEY, PATIENCE, at, report
from tests.support.server_process import served
from tests.support.valkey import Valkey, valkey
from tests.support.workers import worker


@pytest_asyncio.fixture
async def demo() -> AsyncIterator[Demo]:
    async with serve(Options()) as running:
        yield running


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Valkey]:
    async with valkey() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[str]:
    """A short path: a unix socket's has a limit."""
    with tempfile.TemporaryDirectory(prefix="sidecar") as path:
        yield f"{path}/state"


async def test_a_redis_as_it_should_be(demo: Demo, server: Valkey) -> None:
    """With a worker at it there is nothing to do."""
    env = {"REDIS_URL": server.url, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{demo.url}/v1"}
    async with worker(**env) as running:
        await running.event("working")
        async with server.client() as admin:
            async with asyncio.timeout(PATIENCE):
                while not await admin.zcard("moodle-sidecar:workers"):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
        said = await report(*at(demo), REDIS_URL=server.url)
    checks = ("redis", "redis version", "redis memory", "redis persistence", "redis clock", "workers")
    assert {check: said.state(check) for check in checks} == dict.fromkeys(checks, "ok")
    assert "Valkey" in said.finding("redis")["what"]


async def test_what_will_hurt_some_day_is_a_warning_with_its_cure(demo: Demo, server: Valkey) -> None:
    """A cache's Redis, nothing on disk, nobody at work."""
    async with server.client() as admin:
        await admin.config_set("maxmemory-policy", "allkeys-lru")
        await admin.config_set("appendonly", "no")
        said = await report(*at(demo), REDIS_URL=server.url)
        assert "noeviction" in said.finding("redis memory")["do"]
        assert "keeps nothing on disk" in said.finding("redis persistence")["what"]
        assert "appendonly yes" in said.finding("redis persistence")["do"]
        assert said.finding("workers")["do"]
        assert said.code == 0
        for check in ("redis memory", "redis persistence", "workers"):
            assert said.state(check) == "warning"
        await admin.config_set("save", "3600 1")
        await admin.config_set("maxmemory-policy", "noeviction")
        await admin.config_set("maxmemory", "1mb")
        said = await report(*at(demo), REDIS_URL=server.url)
        assert "a crash loses the jobs since" in said.finding("redis persistence")["what"]
        assert "raise maxmemory" in said.finding("redis memory")["do"]
        assert said.finding("redis memory")["what"].startswith("Redis is full")
        assert (said.state("redis memory"), said.code) == ("failed", 1)
        await admin.config_set("maxmemory", "0")
        await admin.replicaof("127.0.0.1", "1")
        said = await report(*at(demo), REDIS_URL=server.url)
        assert "read-only replica" in said.finding("redis writes")["what"]


async def test_a_redis_that_is_not_there_fails(demo: Demo, server: Valkey) -> None:
    """Why, in the sentence that callers hear, with the address and without the password."""
    said = await report(*at(demo), REDIS_URL="redis://:canary@127.0.0.1:1/2")
    assert (said.state("redis"), said.code) == ("failed", 1)
    assert said.finding("redis")["what"].startswith("redis://127.0.0.1:1/2: Redis refuses the connection")
    async with server.client() as admin:
        await admin.config_set("requirepass", "another")
    said = await report(*at(demo), REDIS_URL=server.url)
    assert "asks for a password" in said.finding("redis")["what"]


async def test_an_embedded_one_before_during_and_where_it_cannot_be(demo: Demo, folder: str, tmp_path: Path) -> None:
    """Looking makes nothing; with the server it is there; a folder that will not do is said."""
    words = (*at(demo), "--jobs", f"--state-dir={folder}")
    said = await report(*words)
    assert (said.state("redis"), said.state("embedded valkey"), said.state("state folder")) == ("note", "ok", "ok")
    assert "start the server" in said.finding("redis")["do"]
    assert not made(folder)
    async with served(*words) as running:
        await running.event("working")
        said = await report(*words, f"--port={running.port}")
        assert (said.state("redis"), said.state("redis memory"), said.state("redis persistence")) == ("ok", "ok", "ok")
        assert folder in said.finding("redis")["what"]
    (tmp_path / "file").touch()
    said = await report(*at(demo), "--jobs", f"--state-dir={tmp_path}/file/state")
    assert (said.state("state folder"), said.code) == ("failed", 1)


def made(folder: str) -> bool:
    return Path(folder).exists()


@pytest.mark.parametrize(
    ("version", "state"), [("7.2.4", "ok"), ("6.2.0", "ok"), ("6.0.16", "failed"), ("5", "note"), ("", "note")]
)
def test_a_version_is_old_or_not(version: str, state: str) -> None:
    """As INFO tells it; Valkey tells the Redis it can stand in for."""
    assert _version(version).state == state


def test_clocks_that_are_apart_are_said() -> None:
    """The time that asking took counts for nothing."""
    assert _clock(105.0, 100.0, 110.0).state == "ok"
    assert _clock(130.0, 100.0, 110.0).state == "warning"
    assert "30 s apart" in _clock(70.0, 100.0, 110.0).what
