"""Limits as the routes use them: whose limits count, what a refusal says, and what a provider call costs whom."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from sidecar.config.tokens import NamedToken, TokensFile
from sidecar.core.errors import Limited
from sidecar.core.quotas import Away, Quota
from sidecar.engine.quotas.quotas import MOST_CALLERS, Quotas
from tests.support.clocks import Clock

MIDNIGHT = 1_800_000_000.0 - 1_800_000_000.0 % 86_400


def token(name: str, user: Quota | None = None, **limits: int) -> NamedToken:
    return NamedToken(name=name, digest=name.encode(), quota=Quota(**limits), user=user)


def quotas_of(*tokens: NamedToken, **more: Any) -> Quotas:
    parts = {name: more.pop(name) for name in ("site", "user") if name in more}
    options: dict[str, Any] = {"clock": Clock(), "wall": lambda: MIDNIGHT} | more
    return Quotas(TokensFile(tokens=tokens, **parts), **options)


async def ask(quotas: Quotas, token: str = "", user: str = "") -> str:
    """Return the limit that refuses a request, blank for none."""
    try:
        async with quotas.held(token, user):
            return ""
    except Limited as exc:
        return exc.limit


async def test_a_tokens_limit_is_its_own() -> None:
    """One faculty over its limit takes nothing from another, nor from callers without a token."""
    quotas = quotas_of(token("physics", requests_per_minute=2), token("chemistry", requests_per_minute=2))
    assert [await ask(quotas, "physics") for _ in range(3)] == ["", "", "token.requests_per_minute"]
    assert [await ask(quotas, "chemistry"), await ask(quotas)] == ["", ""]


async def test_a_user_is_one_of_its_token() -> None:
    """The same id at two faculties is two people; a token's own limits of users replace the file's."""
    quotas = quotas_of(
        token("physics"), token("chemistry", Quota(requests_per_minute=2)), user=Quota(requests_per_minute=1)
    )
    assert [await ask(quotas, "physics", "7") for _ in range(2)] == ["", "user.requests_per_minute"]
    assert [await ask(quotas, "physics", "8"), await ask(quotas, "", "7")] == ["", ""]
    assert [await ask(quotas, "chemistry", "7") for _ in range(3)] == ["", "", "user.requests_per_minute"]
    assert [await ask(quotas, "physics") for _ in range(3)] == ["", "", ""], "no name, no user"


async def test_the_sites_limit_is_everybodys() -> None:
    """With and without a token; what one limit refuses, no other has counted."""
    quotas = quotas_of(
        token("physics", requests_per_minute=1), site=Quota(requests_per_minute=3), user=Quota(requests_per_minute=9)
    )
    assert [await ask(quotas, "physics", "1") for _ in range(5)].count("") == 1
    assert [await ask(quotas, "", "2") for _ in range(3)] == ["", "", "site.requests_per_minute"]


async def test_calls_at_once_end_with_their_block() -> None:
    """Whatever ends it; a refused call holds nothing."""
    quotas = quotas_of(user=Quota(at_once=1))
    async with quotas.held("", "7"):
        assert await ask(quotas, "", "7") == "user.at_once"
        assert await ask(quotas, "", "8") == ""
    with pytest.raises(ZeroDivisionError):
        async with quotas.held("", "7"):
            raise ZeroDivisionError
    assert await ask(quotas, "", "7") == ""


TWO_AT_ONCE = (
    "Everybody here together has 2 questions under way already, which is the limit. Please try again in a second."
)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            {"user": Quota(requests_per_minute=1)},
            "You have asked the AI once within a minute, which is the limit. Please try again in 60 seconds.",
        ),
        (
            {"user": Quota(at_once=1)},
            "You have one question under way already, which is the limit. Please try again in a second.",
        ),
        (
            {"user": Quota(tokens_per_day=1)},
            "You have used up the AI's answers for today. Please try again in 24 hours.",
        ),
        (
            {"site": Quota(at_once=2)},
            TWO_AT_ONCE,
        ),
    ],
)
async def test_a_refusal_says_which_limit_and_when(more: dict[str, Quota], says: str) -> None:
    """In words for a pupil, without a number's name."""
    quotas = quotas_of(**more)
    async with quotas.held("", "7"), quotas.held("", "8"):
        if charge := quotas.charge("", "7"):
            charge(1)
        with pytest.raises(Limited) as caught:
            async with quotas.held("", "7"):
                pass
    assert str(caught.value) == says
    assert caught.value.retry_after is not None


async def test_a_tokens_refusal_names_the_token() -> None:
    """So that its people know whom to talk to; the look before a body says the same."""
    quotas = quotas_of(token("physics", requests_per_minute=1))
    quotas.look("physics")
    assert await ask(quotas, "physics") == ""
    with pytest.raises(Limited, match='Everybody who uses "physics" together has asked the AI once'):
        quotas.look("physics")
    quotas.look("")


async def test_a_list_of_jobs_counts_as_many_requests() -> None:
    """For each of its users; one that is longer than the limit goes through an empty minute, and fills it."""
    quotas = quotas_of(site=Quota(requests_per_minute=100), user=Quota(requests_per_minute=3))
    await quotas.count("", {"anna": 2, "ben": 3, "": 5})
    for users in ({"anna": 2}, {"ben": 1}, {"": 91}):
        with pytest.raises(Limited):
            await quotas.count("", users)
    await quotas.count("", {"anna": 1, "": 5})
    with pytest.raises(Limited):
        await quotas.count("", {"": 1000})
    quotas = quotas_of(site=Quota(requests_per_minute=100))
    await quotas.count("", {"": 1000})
    with pytest.raises(Limited):
        quotas.look("")


async def test_tokens_of_a_call_count_at_every_limit_of_the_day() -> None:
    """Its user's, its token's and the site's; without any there is nothing to call."""
    daily = Quota(tokens_per_day=10)
    quotas = quotas_of(token("physics", tokens_per_day=30), token("free", Quota()), user=daily, site=Quota(at_once=9))
    assert quotas.charge("free", "7") is None
    for user in ("anna", "ben", "carla"):
        charge = quotas.charge("physics", user)
        assert charge is not None
        charge(9)
        assert await ask(quotas, "physics", user) == ""
        charge(1)
        assert await ask(quotas, "physics", user) in {"user.tokens_per_day", "token.tokens_per_day"}
    assert await ask(quotas, "physics", "dora") == "token.tokens_per_day"


async def test_other_limits_keep_what_was_counted() -> None:
    """A higher limit lets go on at once, a lower one refuses at once, a token that is gone is unlimited."""
    quotas = quotas_of(token("physics", requests_per_minute=2))
    assert [await ask(quotas, "physics") for _ in range(3)] == ["", "", "token.requests_per_minute"]
    quotas.replace(TokensFile(tokens=(token("physics", requests_per_minute=3),)))
    assert [await ask(quotas, "physics") for _ in range(2)] == ["", "token.requests_per_minute"]
    quotas.replace(TokensFile(tokens=(token("physics", requests_per_minute=1),)))
    assert await ask(quotas, "physics") == "token.requests_per_minute"
    quotas.replace(TokensFile())
    assert await ask(quotas, "physics") == ""


class Book:
    """A ledger in memory, which the test takes away."""

    def __init__(self) -> None:
        self.days: dict[str, dict[str, int]] = {}
        self.away = False

    async def load(self, day: str) -> Mapping[str, int]:
        self._check()
        return self.days.get(day, {})

    async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
        self._check()
        totals = self.days.setdefault(day, {})
        for name, tokens in spent.items():
            totals[name] = totals.get(name, 0) + tokens
        return {name: totals[name] for name in spent}

    def _check(self) -> None:
        if self.away:
            raise Away("The disk is full.")

    async def aclose(self) -> None: ...


async def test_the_days_numbers_outlive_the_process(caplog: pytest.LogCaptureFixture) -> None:
    """What a ledger could not take is given again; an hour of that is a line a minute in the log."""
    caplog.set_level(logging.WARNING, "sidecar")
    book, clock = Book(), Clock()
    daily = {"user": Quota(tokens_per_day=10)}
    quotas = quotas_of(ledger=book, clock=clock, **daily)
    charge = quotas.charge("", "canary-7")
    assert charge is not None
    charge(4)
    await quotas.settle()
    book.away = True
    for _ in range(120):
        charge(0)
        clock.now += 1.0
        await quotas.settle()
    assert [record.message for record in caplog.records] == ["limits_not_saved"] * 2
    charge(5)
    book.away = False
    await quotas.settle()
    await quotas.settle()
    assert "canary" not in str(book.days)
    later = quotas_of(ledger=book, **daily)
    await later.restore()
    assert await ask(later, "", "canary-7") == ""
    charge = later.charge("", "canary-7")
    assert charge is not None
    charge(1)
    assert await ask(later, "", "canary-7") == "user.tokens_per_day"
    [(_, totals)] = book.days.items()
    assert list(totals.values()) == [9]


async def test_a_fault_of_the_ledger_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The task that saves goes on, and says where the fault is."""

    caplog.set_level(logging.WARNING, "sidecar")

    class Broken(Book):
        async def add(self, day: str, spent: Mapping[str, int]) -> Mapping[str, int]:
            raise ZeroDivisionError

    quotas = quotas_of(ledger=Broken(), user=Quota(tokens_per_day=10))
    charge = quotas.charge("", "7")
    assert charge is not None
    charge(3)
    task = asyncio.create_task(quotas.settling())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert [record.message for record in caplog.records] == ["internal"]
    assert list(quotas.counters.unsaved.values()) == [3]


async def test_callers_are_remembered_in_a_bounded_number() -> None:
    """A caller that makes up names fills no memory with them, and a forgotten caller's requests still count."""
    quotas = quotas_of(user=Quota(requests_per_minute=1))
    assert await ask(quotas, user="7") == ""
    for number in range(2 * MOST_CALLERS):
        await ask(quotas, user=f"made-up-{number}")
        assert len(quotas.callers) <= MOST_CALLERS
    assert await ask(quotas, user="7") == "user.requests_per_minute"
