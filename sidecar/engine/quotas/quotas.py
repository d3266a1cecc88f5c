"""Limits by site, token and user, as routes and workers use them: look, take, charge.

A request counts at its site, its token and its user at once: where one refuses, none has counted it.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import Final

import msgspec

from sidecar.config.tokens import NamedToken, TokensFile
from sidecar.core import events
from sidecar.core.quotas import Away, Quota, Refusal, Scope
from sidecar.engine.limiter.trace import Charge
from sidecar.engine.quotas.counters import Counters
from sidecar.engine.quotas.days import Days
from sidecar.engine.quotas.ports import Ledger
from sidecar.engine.quotas.sentences import limited
from sidecar.engine.quotas.shared import LOG_SECONDS, Shared

SITE: Final = "site"
SAVE_SECONDS: Final = 1.0
"""Seconds between two savings of the numbers of the day: what a killed process loses."""
MOST_CALLERS: Final = 1024
"""Callers whose scopes are remembered: a request needs them twice, and its user's next one again."""
_UNLIMITED: Final = nullcontext()


class Quotas:
    """Limits of one process over its counters, or over `shared` ones; `ledger` has the numbers of the day."""

    def __init__(
        self,
        file: TokensFile,
        *,
        secret: str = "",
        shared: Shared | None = None,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()
        self._shared = shared
        self._ledger = shared or ledger
        self._clock = clock
        self._wall = wall
        self._logged_at = -LOG_SECONDS
        self.callers: dict[tuple[str, str], Sequence[Scope]] = {}
        """Scopes of a request by token and user."""
        self.counters = Counters(clock=clock)
        self.counters.saves = self._ledger is not None
        self.replace(file)

    def replace(self, file: TokensFile) -> None:
        """Take other tokens and limits from now on; what was counted stays."""
        self.file = file
        self.tokens = file.tokens
        self._named = {token.name: token for token in file.tokens}
        self._days = Days(file.time_zone, wall=self._wall)
        self._fixed = {name: tuple(self._scopes_of(name)) for name in ("", *self._named)}
        self.callers.clear()
        self.counters.forget_refusals()

    def _scopes_of(self, token: str) -> list[Scope]:
        """Return the scopes of site and token that have limits."""
        scopes = [Scope(kind="site", name=SITE, quota=self.file.site)]
        if token:
            quota = self._named[token].quota
            scopes.append(Scope(kind="token", name=f"token:{token}", quota=quota, token=token))
        return [scope for scope in scopes if scope.quota]

    def _user_quota(self, token: str) -> Quota:
        named = self._named.get(token)
        return named.user if named is not None and named.user is not None else self.file.user

    def _user_scope(self, token: str, user: str, quota: Quota, count: int = 1) -> Scope:
        """Return a user's scope. Its name is a keyed hash, since names reach files and Redis."""
        text = f"{token}\0{user}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=16, key=self._key).hexdigest()
        return Scope(kind="user", name=f"user:{digest}", quota=quota, token=token, count=count)

    def _caller(self, token: str, user: str) -> Sequence[Scope]:
        """Return the scopes of one request."""
        scopes = self.callers.get((token, user))
        if scopes is None:
            if len(self.callers) >= MOST_CALLERS:
                self.callers.clear()
            scopes = self.callers[token, user] = self._scopes(token, {user: 1})
        return scopes

    def _scopes(self, token: str, users: Mapping[str, int]) -> list[Scope]:
        total = sum(users.values())
        fixed = self._fixed.get(token) or self._fixed[""]
        scopes = [scope if total == 1 else msgspec.structs.replace(scope, count=total) for scope in fixed]
        if quota := self._user_quota(token):
            scopes += [self._user_scope(token, user, quota, count) for user, count in users.items() if user]
        return scopes

    def find(self, name: str) -> NamedToken | None:
        """Return the token of this name."""
        return self._named.get(name)

    def look(self, token: str, *, hold: bool = True) -> None:
        """Raise `Limited` where site or token refuse any request now; count nothing. `hold`: as of `held`."""
        if scopes := self._fixed.get(token) or self._fixed[""]:
            self._check(scopes, self._left(), hold=hold)

    def _left(self) -> float:
        day, left = self._days.now()
        self.counters.turn(day)
        return left

    def _check(self, scopes: Iterable[Scope], left: float, *, hold: bool) -> None:
        if (refusal := self.counters.refusal(scopes, left, hold=hold)) is not None:
            raise limited(refusal)

    async def count(self, token: str, users: Mapping[str, int]) -> None:
        """Count requests that no caller waits for; `users` has the requests of each. Raises `Limited`."""
        await self._admit(self._scopes(token, users), hold=False)

    def held(self, token: str, user: str) -> AbstractAsyncContextManager[None]:
        """Count a request, which is under way during the block. Raises `Limited`."""
        scopes = self._caller(token, user)
        return Held(self, scopes) if scopes else _UNLIMITED

    async def _admit(self, scopes: Sequence[Scope], *, hold: bool) -> list[str]:
        """Count a request; return what is to be released: counters here, or its id in the store, if it has one."""
        left = self._left()
        self._check(scopes, left, hold=hold)
        if self._shared is None:
            return self.counters.take(scopes, hold=hold)
        refusal, ident = await self._shared.take(scopes, self.counters.day, hold=hold)
        if refusal is not None:
            raise limited(self._learned(refusal, left))
        return [ident] if ident else []

    async def begin(self, scopes: Sequence[Scope]) -> tuple[list[str], float]:
        """Count a request that is under way from now on; return what `end` needs."""
        return await self._admit(scopes, hold=True), self._clock()

    async def end(self, held: Iterable[str], since: float, *, measured: bool) -> None:
        """Count a request as ended; its time tells how soon places become free, where it is `measured`."""
        if measured:
            self.counters.lasted(self._clock() - since)
        if self._shared is None:
            self.counters.release(held)
            return
        for ident in held:
            await self._shared.release(ident)

    def _learned(self, refusal: Refusal, left: float) -> Refusal:
        """Return a store's refusal with its time, remembered where the same holds for the next request."""
        if refusal.field == "at_once":
            return msgspec.structs.replace(refusal, seconds=self.counters.estimate)
        if refusal.field == "tokens_per_day":
            refusal = msgspec.structs.replace(refusal, seconds=left)
        if refusal.scope.count == 1:
            self.counters.refused(refusal)
        return refusal

    def charge(self, token: str, user: str) -> Charge | None:
        """Return the function that counts tokens of a request; None where none are limited."""
        counted = [scope for scope in self._caller(token, user) if scope.quota.tokens_per_day]
        return partial(self._spend, counted) if counted else None

    def _spend(self, scopes: list[Scope], tokens: int) -> None:
        self._left()
        for scope in scopes:
            self.counters.spend(scope.name, tokens, user=scope.kind == "user")

    async def restore(self) -> None:
        """Adopt the numbers of the day as an earlier process left them."""
        if self._ledger is None or self._shared is not None or not self.file.daily:
            return
        self._left()
        try:
            self.counters.taken_over(self.counters.day, await self._ledger.load(self.counters.day))
        except Away as exc:
            self._not_settled(exc)

    async def settle(self) -> None:
        """Give the ledger what it has not yet, and renew what is held in the store."""
        if self._ledger is None:
            return
        self._left()
        day, unsaved = self.counters.day, self.counters.unsaved
        self.counters.unsaved = {}
        try:
            if unsaved:
                self.counters.taken_over(day, await self._ledger.add(day, unsaved))
                unsaved = {}
            if self._shared is not None:
                await self._shared.settle()
        except Away as exc:
            self._not_settled(exc)
        finally:
            if day == self.counters.day:
                for name, tokens in unsaved.items():
                    self.counters.unsaved[name] = self.counters.unsaved.get(name, 0) + tokens

    def _not_settled(self, exc: Away) -> None:
        if self._shared is not None:
            self._shared.lost(exc)
        elif (now := self._clock()) - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            events.warning("limits_not_saved", reason=str(exc), note="a restart would forget the tokens of the day")

    async def settling(self) -> None:
        """Settle once in `SAVE_SECONDS` until cancelled."""
        if self._shared is not None:
            await self._shared.load(self._days.now()[0])
        while True:
            try:
                await self.settle()
            except Exception as exc:  # noqa: BLE001 - the task's outermost: a dead task would save nothing more
                events.fault("internal", exc)
            await asyncio.sleep(SAVE_SECONDS)


class Held(AbstractAsyncContextManager[None]):
    """A request under way at `scopes` during its block: a class, since a generator takes five times as long."""

    __slots__ = ("_held", "_quotas", "_scopes", "_since")

    def __init__(self, quotas: Quotas, scopes: Sequence[Scope]) -> None:
        self._quotas = quotas
        self._scopes = scopes

    async def __aenter__(self) -> None:
        self._held, self._since = await self._quotas.begin(self._scopes)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._quotas.end(self._held, self._since, measured=kind is None)
