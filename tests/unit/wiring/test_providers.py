"""The providers of one process: who shares a client, what a reload keeps, and when a client is closed."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.contract import Request
from sidecar.core.ports import Call, Completion
from sidecar.core.reach import EVERY
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.provider.base import HttpUpstream, Reply
from sidecar.provider.codec import Body
from sidecar.providers import Providers
from tests.support.virtual_time import in_virtual_time

CALL = Call(messages=({"role": "user", "content": "x"},), max_tokens=10)


class Slow(HttpUpstream):
    """A client whose calls take a second."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.host = settings.provider_host
        self.calls = 0
        self.closed = False

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        assert not self.closed
        self.calls += 1
        await asyncio.sleep(1.0)
        assert not self.closed
        return Completion(text="fine")

    async def _post(self, body: Body, accept: str, trace: Mapping[str, str]) -> Reply:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True


class Made:
    """Providers over such clients, from a file that a test writes."""

    def __init__(self, folder: Path, *tables: str) -> None:
        self.file = folder / "providers.toml"
        self.write(*tables)
        self.clients: list[Slow] = []
        self.settings = load({}, "/dev/null", {"PROVIDERS_FILE": str(self.file)})
        self.providers = Providers(self.settings, self.client)

    def write(self, *tables: str) -> None:
        self.file.write_text("\n".join(f'[[provider]]\nbase_url = "http://{table}' for table in tables))

    def client(self, settings: Settings) -> Slow:
        self.clients.append(Slow(settings))
        return self.clients[-1]


EU = 'eu/v1"\nname = "eu"\nmodel = "m"'
US = 'us/v1"\nname = "us"\nmodel = "m"'
ASIA = 'asia/v1"\nname = "asia"\nmodel = "other"'


@in_virtual_time
async def test_a_reload_keeps_what_was_learned_of_those_that_stay(tmp_path: Path) -> None:
    """Limit and client, although its priority and classes are others now; in every lane of a worker."""
    made = Made(tmp_path, EU, US)
    pools = [made.providers.pool(most=most, clock=asyncio.get_running_loop().time) for most in (4, 8)]
    before = [pool.providers for pool in pools]
    assert [provider.limit.ceiling for lane in before for provider in lane] == [4, 4, 8, 8]
    assert len(made.clients) == 2
    made.write(f"{EU}\npriority = 9", f'{ASIA}\nclasses = ["interactive"]')
    made.providers.reload()
    for pool, (eu, us) in zip(pools, before, strict=True):
        asia, kept = pool.providers
        assert (kept, kept.priority, asia.name) == (eu, 9, "asia")
        assert us not in pool.providers
        assert pool.serving(EVERY["jobs"]) == (eu,)
        assert (asia.limit.ceiling, asia.upstream) == (pool.most, made.clients[2])
    await made.providers.aclose()
    assert all(client.closed for client in made.clients)


@in_virtual_time
@pytest.mark.parametrize("between", [(), (f"{EU}\nconcurrency = 3",)], ids=["one reload", "two reloads"])
async def test_a_client_is_closed_after_its_last_call(tmp_path: Path, between: tuple[str, ...]) -> None:
    """Never under a call, whatever reloads came since the call began, and not before the process ends only."""
    made = Made(tmp_path, EU)
    clock = asyncio.get_running_loop().time
    calls = Calls(made.providers.pool(clock=clock), clock=clock)
    old = [
        asyncio.create_task(calls.complete(CALL, Ticket("anna"), Trace(), deadline=Deadline(clock() + 9.0)))
        for _ in range(3)
    ]
    await asyncio.sleep(0.5)
    for table in (*between, US):
        made.write(table)
        made.providers.reload()
    await calls.complete(CALL, Ticket("ben"), trace := Trace(), deadline=Deadline(clock() + 9.0))
    await asyncio.gather(*old)
    eu, us = made.clients
    assert (eu.calls, us.calls, trace.provider) == (3, 1, "us")
    await asyncio.sleep(0)
    assert (eu.closed, us.closed) == (True, False)
    await made.providers.aclose()
    assert us.closed


@in_virtual_time
async def test_a_key_that_changes_in_its_file_costs_neither_client_nor_limit(tmp_path: Path) -> None:
    """The client reads its key's file by itself; a reload in between starts nothing anew."""
    key = tmp_path / "key"
    key.write_text("sk-first\n")
    made = Made(tmp_path, table := f'{EU}\napi_key_file = "{key}"')
    pool = made.providers.pool()
    before = pool.providers
    key.write_text("sk-second\n")
    made.write(table)
    made.providers.reload()
    assert pool.providers == before
    assert len(made.clients) == 1
    await made.providers.aclose()


@in_virtual_time
async def test_a_bad_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither pool nor keys nor clients; the log has each mistake."""
    made = Made(tmp_path, EU)
    pool = made.providers.pool()
    before = pool.providers
    made.write('no"\nname = 5')
    with caplog.at_level(logging.WARNING, logger="sidecar"):
        made.providers.reload()
    assert pool.providers is before
    assert len(made.clients) == 1
    assert [record.msg for record in caplog.records] == ["providers_kept"] * 2
    await made.providers.aclose()


@in_virtual_time
async def test_another_model_makes_other_keys(tmp_path: Path) -> None:
    """An answer of the old model is not given for the new one; another number of calls changes no key."""
    made = Made(tmp_path, EU)
    request = Request(action="analyze", content="x")
    keys = made.providers.keys
    first = keys.of_request(request)
    made.write(f"{EU}\nconcurrency = 3")
    made.providers.reload()
    assert keys.of_request(request) == first
    made.write(EU, ASIA)
    made.providers.reload()
    assert keys.of_request(request) != first
    await made.providers.aclose()


@in_virtual_time
async def test_without_a_file_there_is_one_provider_without_a_name() -> None:
    """As the variables say; a worker's lanes have their own numbers."""
    settings = load({}, "/dev/null", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://one/v1", "CONCURRENCY": "5"})
    providers = Providers(settings, Slow)
    server, lane = providers.pool(), providers.pool(most=9)
    assert [pool.only and (pool.only.name, pool.only.limit.ceiling) for pool in (server, lane)] == [("", 5), ("", 9)]
    assert server.models(EVERY["interactive"]) == ["adorsys"]
    await providers.aclose()
