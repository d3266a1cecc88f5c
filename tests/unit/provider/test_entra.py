"""Tokens of Microsoft Entra ID: when they are fetched, how long they are used, and what a failure costs."""

import asyncio
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest

from sidecar.core.errors import ConfigError, UpstreamAuth
from sidecar.provider.endpoint import endpoint
from sidecar.provider.entra import EntraToken, entra_token
from tests.support.clocks import Clock


class Token(NamedTuple):
    token: str
    expires_on: int


class Identity:
    """A credential whose next token lives `life` seconds of the clock; None makes it fail. It can be held."""

    def __init__(self, clock: Clock, life: float | None) -> None:
        self._clock = clock
        self.life = life
        self.fetched = 0
        self.open = threading.Event()
        self.open.set()

    def get_token(self, *_scopes: str) -> Token:
        self.open.wait(10)
        self.fetched += 1
        if self.life is None:
            raise OSError("no such network")
        return Token(f"token-{self.fetched}", int(self._clock.now + self.life))


def tokens(life: float | None) -> tuple[Clock, Identity, EntraToken]:
    clock = Clock()
    identity = Identity(clock, life)
    return clock, identity, EntraToken(lambda: identity, "scope", clock=clock)


async def renewed(token: EntraToken) -> None:
    """Wait for the renewal under way to end."""
    assert token._renewal is not None
    await asyncio.shield(token._renewal)


async def test_callers_at_once_share_one_fetch() -> None:
    """A burst on a fresh process asks Entra once."""
    _, identity, token = tokens(3600)
    assert set(await asyncio.gather(*(token.key() for _ in range(50)))) == {"token-1"}
    assert identity.fetched == 1


async def test_a_token_is_used_until_shortly_before_its_end() -> None:
    """Five minutes before it a renewal starts; calls go on with the old token meanwhile."""
    clock, identity, token = tokens(3600)
    await token.key()
    clock.now += 3299
    assert (await token.key(), identity.fetched) == ("token-1", 1)
    clock.now += 2
    identity.open.clear()
    assert await token.key() == "token-1"
    identity.open.set()
    await renewed(token)
    assert (await token.key(), identity.fetched) == ("token-2", 2)
    assert token.secrets == ("token-2", "token-1")


@pytest.mark.parametrize("life", [20, 5, 0, -300])
async def test_a_short_life_is_no_fetch_a_call(life: float) -> None:
    """Half of it is used, and ten seconds at least, also where this machine's clock is ahead."""
    clock, identity, token = tokens(life)
    for _ in range(10):
        await token.key()
    clock.now += 9
    await token.key()
    assert identity.fetched == 1
    clock.now += max(life, 10)
    assert await token.key() == "token-2"


async def test_a_failed_renewal_leaves_the_token_in_use() -> None:
    """Entra may be away for a moment; the next try is after ten seconds."""
    clock, identity, token = tokens(3600)
    await token.key()
    clock.now += 3400
    identity.life = None
    await token.key()
    await renewed(token)
    assert (await token.key(), identity.fetched) == ("token-1", 2)
    clock.now += 11
    identity.life = 3600
    await token.key()
    await renewed(token)
    assert await token.key() == "token-3"


async def test_without_a_token_calls_fail_at_once_and_try_again_later() -> None:
    """Ten seconds of calls cost one try."""
    clock, identity, token = tokens(None)
    for _ in range(5):
        with pytest.raises(UpstreamAuth, match=r"gave no token for Azure \(OSError\)"):
            await token.key()
    assert identity.fetched == 1
    clock.now += 11
    identity.life = 3600
    assert await token.key() == "token-2"


async def test_a_caller_who_leaves_stops_no_renewal() -> None:
    """The next caller finds the token that the first one began to fetch."""
    _, identity, token = tokens(3600)
    identity.open.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await token.key()
    identity.open.set()
    assert (await token.key(), identity.fetched) == ("token-1", 1)


def test_a_missing_package_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the setting and the command that installs it."""
    monkeypatch.setitem(sys.modules, "azure", None)
    with pytest.raises(ConfigError, match="AZURE_AUTH=entra: needs azure-identity"):
        entra_token(endpoint("https://school.openai.azure.com/openai/v1"))


def test_the_package_loads_quietly_and_in_the_thread_alone() -> None:
    """The module itself is cheap; the credential opens without warnings, and its logger is mute."""
    program = """
import sys, logging
from sidecar.provider import entra
assert not {"azure.identity", "azure.core"} & set(sys.modules)
credential = entra._default_credential()
assert hasattr(credential, "get_token")
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("azure.identity").critical("an account")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
