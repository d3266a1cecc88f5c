"""Limits of one process: TOKENS_FILE read again on SIGHUP, and the place of the counters: here, in a file or Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sidecar.config.load import with_tokens
from sidecar.config.providers import ProviderSettings
from sidecar.config.settings import Settings
from sidecar.config.tokens import TokensFile, read_tokens
from sidecar.core import events
from sidecar.engine.quotas.ports import Ledger
from sidecar.engine.quotas.quotas import Quotas
from sidecar.engine.quotas.shared import Shared

FILE: Final = "limits.sqlite3"
"""Name of the file in STATE_DIR with the tokens of the day, where there is no Redis."""


InForce = Callable[[], Sequence[ProviderSettings]]


class Limits:
    """The limits in force, None without TOKENS_FILE."""

    def __init__(self, settings: Settings, quotas: Quotas | None = None, providers: InForce | None = None) -> None:
        self._settings = settings
        self.quotas = quotas
        self._providers = providers or (lambda: settings.providers)

    def reload(self) -> None:
        """Read the file again. A file with a mistake changes nothing."""
        if self.quotas is None:
            return
        faults: list[str] = []
        found = read_tokens(self._settings.tokens_file, faults, self._providers())
        if not faults and self.quotas.tokens and not found.tokens and not self._settings.sidecar_token:
            faults.append("TOKENS_FILE: has no [[token]] any more, and without one every caller would be let in")
        for fault in faults:
            events.warning("tokens_kept", fault=fault)
        if not faults:
            self.quotas.replace(found)
            _log(found)

    async def settle(self) -> None:
        """Save the numbers of the day now: an embedded Valkey ends with the server."""
        if self.quotas is not None:
            await self.quotas.settle()


@asynccontextmanager
async def limits_by_token(settings: Settings, providers: InForce | None = None) -> AsyncIterator[Limits]:
    """Open the limits that `settings` describe, and save the numbers of the day during the block.

    `providers` returns the providers in force, which the file's tokens may name when it is read again.
    """
    if not settings.tokens_file:
        yield Limits(settings)
        return
    file = settings.tokens or with_tokens(settings).tokens or TokensFile()
    shared: Shared | None = None
    ledger: Ledger
    if settings.redis_url:
        from sidecar.jobs.shared_counters import SharedCounters

        ledger = shared = Shared(SharedCounters(settings))
    else:
        from sidecar.runtime.day_file import DayFile  # late: SQLite is for servers with TOKENS_FILE

        ledger = DayFile(f"{settings.state_dir}/{FILE}")
    quotas = Quotas(file, secret=settings.user_secret or settings.redis_prefix, shared=shared, ledger=ledger)
    await quotas.restore()
    _log(file)
    task = asyncio.create_task(quotas.settling(), name="quotas")
    try:
        yield Limits(settings, quotas, providers)
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await quotas.settle()
        await ledger.aclose()


def _log(file: TokensFile) -> None:
    allowed = {token.name: token.providers for token in file.tokens if token.providers is not None}
    shown = {"providers": allowed} if allowed else {}
    events.info("tokens_read", tokens=[token.name for token in file.tokens], **shown)
