"""Counters in a store that several sidecars share, in virtual time: away or slow, it refuses nobody."""

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence

import pytest

from sidecar.config.tokens import TokensFile
from sidecar.core.errors import Limited
from sidecar.core.quotas import Away, Quota, Refusal
from sidecar.engine.quotas.ports import Count
from sidecar.engine.quotas.quotas import Quotas
from sidecar.engine.quotas.shared import LIMIT_SECONDS, Shared
from tests.support import virtual_time

FILE = TokensFile(user=Quota(at_once=1, requests_per_minute=100, tokens_per_day=1000))


class Book:
    """A store that does as the test says."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Seconds of each answer."""
        self.away = False
        self.asked = 0
        self.refusal: Refusal | None = None
        self.running: dict[str, Sequence[str]] = {}
        self.renewed = 0
        self.spent: dict[str, int] = {}

    async def _answer(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        for _ in range(5):  # an answer takes turns of the loop to be read
            await asyncio.sleep(0)
        if self.away:
            raise Away("Redis refuses the connection.")

    async def exchange(self, ended: Mapping[str, Sequence[str]], counts: Sequence[Count]) -> list[Refusal | None]:
        for count in counts:
            self.running[count.ident] = [scope.name for scope in count.scopes]
        await self._answer()
        for ident in ended:
            self.running.pop(ident, None)
        if self.refusal is not None:
            for count in counts:
                del self.running[count.ident]
        return [self.refusal] * len(counts)

    async def renew(self, running: Mapping[str, Sequence[str]]) -> None:
        await self._answer()
        self.renewed += len(running)

    async def load(self, day: str) -> Mapping[str, int]:
        return {}

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        await self._answer()
        self.spent |= {name: self.spent.get(name, 0) + tokens for name, tokens in spent.items()}
        return {name: self.spent[name] for name in spent}

    async def aclose(self) -> None: ...


def quotas_over(book: Book) -> Quotas:
    clock = asyncio.get_running_loop().time
    return Quotas(FILE, shared=Shared(book, clock=clock), clock=clock, wall=clock)


def log_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_a_store_that_is_away_refuses_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Two minutes of it are a line a minute; one request a second finds out; its return is a line too."""
    book = Book()
    caplog.set_level("INFO", "sidecar")

    async def scene() -> None:
        quotas, loop = quotas_over(book), asyncio.get_running_loop()
        book.away = True
        start = loop.time()
        for number in range(1190):
            async with quotas.held("", "7"), quotas.held("", "7"):
                pass
            await asyncio.sleep(start + 0.1 * (number + 1) - loop.time())
        assert log_of(caplog) == ["limits_open", "limits_open"]
        assert 100 <= book.asked <= 150
        book.away = False
        await asyncio.sleep(1.0)
        async with quotas.held("", "7"):
            pass
        assert log_of(caplog)[2:] == ["limits_back"]

    virtual_time.run(scene())


def test_a_slow_store_holds_no_request_for_long() -> None:
    """50 ms for the first one, nothing for all others of that second."""
    book = Book()

    async def scene() -> None:
        quotas, loop = quotas_over(book), asyncio.get_running_loop()
        book.seconds, start = 5.0, loop.time()
        async with quotas.held("", "7"):
            assert loop.time() - start == pytest.approx(LIMIT_SECONDS)
        for _ in range(100):
            async with quotas.held("", "7"):
                pass
        assert loop.time() - start == pytest.approx(LIMIT_SECONDS)

    virtual_time.run(scene())


def test_a_store_that_fails_when_it_is_given_up_is_no_complaint() -> None:
    """As a client whose connection breaks at that moment; asyncio would log a failure that nobody looked at."""
    complaints: list[dict[str, object]] = []

    class Breaking(Book):
        async def _answer(self) -> None:
            try:
                await asyncio.sleep(5.0)
            except asyncio.CancelledError:
                raise Away("Redis broke the connection.") from None

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with quotas_over(Breaking()).held("", "7"):
            gc.collect()

    virtual_time.run(scene())
    assert complaints == []


def test_a_slow_end_holds_no_reply_for_long() -> None:
    """The place is freed later, once the store answers again."""
    book = Book()

    async def scene() -> None:
        quotas, loop = quotas_over(book), asyncio.get_running_loop()
        async with quotas.held("", "7"):
            book.seconds, start = 30.0, loop.time()
        assert loop.time() - start == pytest.approx(LIMIT_SECONDS)
        assert len(book.running) == 1
        book.seconds = 0.0
        task = asyncio.create_task(quotas.settling())
        await asyncio.sleep(10)
        assert not book.running
        task.cancel()

    virtual_time.run(scene())


def test_a_caller_who_leaves_frees_the_place() -> None:
    """Also in the middle of the store's answer, which may have counted it."""
    book = Book()

    async def scene() -> None:
        quotas = quotas_over(book)

        async def ask() -> None:
            async with quotas.held("", "7"):
                await asyncio.sleep(100)

        for seconds in (0.0, 0.04):
            book.seconds = seconds
            task = asyncio.create_task(ask())
            await asyncio.sleep(0.01)
            assert len(book.running) == 1
            task.cancel()
            await asyncio.wait((task,))
            book.seconds = 0.0
            await quotas.settle()
            assert not book.running

    virtual_time.run(scene())


def test_long_requests_are_renewed() -> None:
    """Every 20 s of the 60 that a request lives without: a killed sidecar's places are free after a minute."""
    book = Book()

    async def scene() -> None:
        quotas = quotas_over(book)
        task = asyncio.create_task(quotas.settling())
        async with quotas.held("", "7"):
            await asyncio.sleep(65)
        task.cancel()
        assert book.renewed == 3

    virtual_time.run(scene())


@pytest.mark.parametrize(("field", "asked"), [("requests_per_minute", 1), ("at_once", 20), ("tokens_per_day", 1)])
def test_a_shared_refusal_is_true_and_asked_for_once(field: str, asked: int) -> None:
    """What ends at a known time is refused here until then; a place may be free the next moment."""
    book = Book()

    async def scene() -> None:
        quotas = quotas_over(book)
        scope = quotas._scopes("", {"7": 1})[0]
        book.refusal = Refusal(scope, field, 12.0 if field == "requests_per_minute" else 0.0)  # type: ignore[arg-type]
        waits = []
        for _ in range(20):
            with pytest.raises(Limited) as caught:
                async with quotas.held("", "7"):
                    pass
            waits.append(caught.value.retry_after)
        assert book.asked == asked
        day = 86_400 - asyncio.get_running_loop().time()
        expected = {"requests_per_minute": 12.0, "at_once": 1.0, "tokens_per_day": day}[field]
        assert waits == [pytest.approx(expected)] * 20
        assert not book.running

    virtual_time.run(scene())


def test_a_larger_limit_counts_at_once() -> None:
    """What the store refused under the limits of before is not remembered beyond a SIGHUP."""
    book = Book()

    async def scene() -> None:
        quotas = quotas_over(book)
        book.refusal = Refusal(quotas._scopes("", {"7": 1})[0], "requests_per_minute", 50.0)
        with pytest.raises(Limited):
            await quotas.count("", {"7": 1})
        book.refusal = None
        quotas.replace(FILE)
        await quotas.count("", {"7": 1})

    virtual_time.run(scene())


def test_the_days_tokens_are_those_of_all_sidecars() -> None:
    """What another one added is known with the next answer of the store."""
    book = Book()

    async def scene() -> None:
        first, second = quotas_over(book), quotas_over(book)
        for quotas, tokens in ((first, 600), (second, 500)):
            charge = quotas.charge("", "7")
            assert charge is not None
            charge(tokens)
            await quotas.settle()
        with pytest.raises(Limited):
            async with second.held("", "7"):
                pass

    virtual_time.run(scene())


def test_a_burst_is_a_few_exchanges() -> None:
    """Requests of the same moment go together, and each gets its own answer."""
    book = Book()

    async def scene() -> None:
        quotas, loop = quotas_over(book), asyncio.get_running_loop()
        book.seconds, start = 0.02, loop.time()

        async def ask(user: int) -> float:
            async with quotas.held("", str(user)):
                return loop.time() - start

        waits = await asyncio.gather(*(ask(user) for user in range(300)))
        assert book.asked <= 8
        assert max(waits) <= 4.5 * book.seconds
        assert not book.running

    virtual_time.run(scene())


def test_a_burst_at_a_store_that_hangs_is_let_go_at_once() -> None:
    """All that wait, with the first exchange that fails; nobody waits for one of its own."""
    book = Book()

    async def scene() -> None:
        quotas, loop = quotas_over(book), asyncio.get_running_loop()
        book.seconds, start = 100.0, loop.time()

        async def ask(user: int) -> None:
            async with quotas.held("", str(user)):
                pass

        await asyncio.gather(*(ask(user) for user in range(1000)))
        assert loop.time() - start == pytest.approx(LIMIT_SECONDS)

    virtual_time.run(scene())


async def test_a_busy_process_blames_no_store() -> None:
    """Where this process was too busy to look, the answer may have come in time: the request is counted."""
    book = Book()
    quotas = quotas_over(book)
    scope = quotas._scopes("", {"7": 1})[0]
    book.refusal = Refusal(scope, "requests_per_minute", 12.0)
    book.seconds = 0.001
    task = asyncio.create_task(quotas.count("", {"7": 1}))
    while not book.asked:  # noqa: ASYNC110 - the exchange begins in a turn of the loop
        await asyncio.sleep(0)
    time.sleep(3 * LIMIT_SECONDS)  # noqa: ASYNC251 - this is what it is about
    with pytest.raises(Limited):
        await task
