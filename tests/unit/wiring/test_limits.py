"""Limits of one process: opened, read again, and its numbers of the day kept over a restart."""

import contextlib
import logging
import sqlite3
import stat
from pathlib import Path

import pytest

from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError, Limited
from sidecar.engine.quotas.quotas import Quotas
from sidecar.quotas import Limits, limits_by_token
from sidecar.runtime.day_file import DayFile
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.limited_sidecar import providers_at, providers_file, token_table

DAILY = "[user]\ntokens_per_day = 10\n"


def settings_with(folder: Path, text: str = DAILY, **named: str) -> Settings:
    (folder / "tokens.toml").write_text(text)
    return settings_of(TOKENS_FILE=f"{folder}/tokens.toml", STATE_DIR=f"{folder}/state", **named)


async def refused(limits: Limits, user: str) -> bool:
    assert limits.quotas is not None
    try:
        async with limits.quotas.held("", user):
            return False
    except Limited:
        return True


def spend(quotas: Quotas | None, user: str, tokens: int) -> None:
    assert quotas is not None
    charge = quotas.charge("", user)
    assert charge is not None
    charge(tokens)


async def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    """Nothing is opened and nothing is written."""
    async with limits_by_token(settings_of(STATE_DIR=f"{tmp_path}/state")) as limits:
        limits.reload()
        await limits.settle()
        assert limits.quotas is None
    assert not (tmp_path / "state").exists()


async def test_the_days_tokens_survive_a_restart(tmp_path: Path) -> None:
    """In a file that is its owner's alone and names nobody; two processes at a time add up."""
    settings, file = settings_with(tmp_path), tmp_path / "state" / "limits.sqlite3"
    async with limits_by_token(settings) as limits, limits_by_token(settings) as successor:
        spend(limits.quotas, "canary-7", 6)
        await limits.settle()
        spend(successor.quotas, "canary-7", 4)
        await successor.settle()
        assert await refused(successor, "canary-7")
        spend(limits.quotas, "canary-8", 10)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"canary" not in file.read_bytes()
    async with limits_by_token(settings) as limits:
        assert [await refused(limits, user) for user in ("canary-7", "canary-8", "canary-9")] == [True, True, False]


async def test_without_limits_of_the_day_there_is_no_file(tmp_path: Path) -> None:
    """Nothing to remember, nothing to complain of."""
    async with limits_by_token(settings_with(tmp_path, "[user]\nat_once = 1\n")) as limits:
        assert not await refused(limits, "7")
    assert not (tmp_path / "state").exists()


async def test_a_new_day_begins_with_nothing(tmp_path: Path) -> None:
    """What is left of earlier days is deleted at the next start."""
    settings, path = settings_with(tmp_path), f"{tmp_path}/state/limits.sqlite3"
    await DayFile(path).add("2020-01-01", {"site": 7})
    async with limits_by_token(settings) as limits:
        assert not await refused(limits, "7")
    file = sqlite3.connect(path)
    assert file.execute("SELECT count(*) FROM spent").fetchone() == (0,)
    file.close()


async def test_the_file_holds_one_day(tmp_path: Path) -> None:
    """Of a server that runs for months too; a clock that is behind at a start takes nothing away."""
    file = DayFile(f"{tmp_path}/limits.sqlite3")
    for day in ("2027-01-30", "2027-01-31"):
        await file.add(day, {f"user:{number}": 7 for number in range(9)})
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/limits.sqlite3")) as rows:
        assert rows.execute("SELECT DISTINCT day FROM spent").fetchall() == [("2027-01-31",)]
    assert await file.load("1970-01-01") == {}
    assert len(await file.load("2027-01-31")) == 9


@pytest.mark.parametrize("how", ["folder", "garbage"])
async def test_a_file_that_cannot_be_used_is_said_and_no_more(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are limited as ever; a restart would forget."""
    caplog.set_level(logging.WARNING, "sidecar")
    settings, state = settings_with(tmp_path), tmp_path / "state"
    if how == "folder":
        state.write_text("a file is no folder")
    else:
        state.mkdir()
        (state / "limits.sqlite3").write_bytes(b"garbage" * 1000)
    async with limits_by_token(settings) as limits:
        spend(limits.quotas, "7", 10)
        await limits.settle()
        assert await refused(limits, "7")
    assert [record.message for record in caplog.records] == ["limits_not_saved"]


async def test_the_file_is_read_again_and_a_bad_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each mistake is a line of the log; without SIDECAR_TOKEN the last token cannot be removed by a reload."""
    caplog.set_level(logging.WARNING, "sidecar")
    settings = settings_with(tmp_path, token_table("physics"))
    async with limits_by_token(settings) as limits:
        quotas = limits.quotas
        assert quotas is not None
        for text, names, faults in (
            (token_table("physics") + token_table("chemistry"), ["physics", "chemistry"], 0),
            ("[user]\nat_once = 0\nat_one = 1\n", ["physics", "chemistry"], 2),
            ("[user]\nat_once = 1\n", ["physics", "chemistry"], 1),
            (token_table("chemistry"), ["chemistry"], 0),
        ):
            caplog.clear()
            (tmp_path / "tokens.toml").write_text(text)
            limits.reload()
            assert [token.name for token in quotas.tokens] == names
            assert [record.message for record in caplog.records] == ["tokens_kept"] * faults


async def test_a_bad_file_stops_a_start(tmp_path: Path) -> None:
    """Of a worker too, which reads the file here."""
    with pytest.raises(ConfigError, match="line 2"):
        async with limits_by_token(settings_with(tmp_path, "[user]\nat_once = 0\n")):
            pass


async def test_names_are_compared_with_the_providers_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A provider that PROVIDERS_FILE lost is a mistake of TOKENS_FILE at the next reload: the old tokens stay."""
    caplog.set_level(logging.INFO, "sidecar")
    file = providers_file(tmp_path, "eu", "us")
    settings = settings_with(tmp_path, token_table("physics", 'providers = ["eu"]'), PROVIDERS_FILE=file)
    providers = providers_at(settings, {name: HeldUpstream() for name in ("eu", "us")})
    async with limits_by_token(settings, providers.named) as limits:
        assert limits.quotas is not None
        settings_with(tmp_path, token_table("physics", 'providers = ["us"]'))
        providers_file(tmp_path, "us")
        providers.reload()
        limits.reload()
        [token] = limits.quotas.tokens
        assert token.providers == ("us",)
        settings_with(tmp_path, token_table("physics", 'providers = ["eu"]'))
        limits.reload()
        assert limits.quotas.tokens == (token,)
    [kept] = [record.__dict__["fields"]["fault"] for record in caplog.records if record.getMessage() == "tokens_kept"]
    assert kept.endswith("line 4: providers: PROVIDERS_FILE has no provider eu; it has us")
    await providers.aclose()
