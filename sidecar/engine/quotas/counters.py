"""Counters of one process: plain state over a clock, free of await, time and I/O.

The minute is a moving one, of which every admission is remembered: a refusal then knows the exact point at which it
ends, and costs nothing. Written out, as the library `limits` (5.8) counts neither calls at once nor at several
counters all or none, and its moving window says when a refusal ends only if it is asked once more.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sidecar.core.quotas import Field, Refusal, Scope

MINUTE: Final = 60.0
MOST_USERS: Final = 20_000
"""Users remembered; of more, the one that was seen longest ago is forgotten."""
_FIRST_GUESS: Final = 1.0
"""Seconds of a request before any was measured."""
_LONGEST_GUESS: Final = 60.0


class _Counter:
    __slots__ = ("admitted", "refused_for", "refused_until", "running", "spent")

    def __init__(self) -> None:
        self.admitted: deque[float] = deque()
        """Points on the clock of the admissions of the last minute, in order."""
        self.running = 0
        self.spent = 0
        """Tokens of the day."""
        self.refused_until = -math.inf
        """Point on the clock until which another place, such as Redis, refuses."""
        self.refused_for: Field = "requests_per_minute"

    def let_go(self, now: float) -> None:
        """Forget admissions that are older than a minute."""
        admitted = self.admitted
        while admitted and admitted[0] + MINUTE <= now:
            admitted.popleft()

    def minute_wait(self, limit: int, more: int, now: float) -> float:
        """Return the seconds until `more` admissions fit into the limit."""
        admitted = self.admitted
        if len(admitted) + more <= limit:  # with those that the minute has let go
            return 0.0
        self.let_go(now)
        over = len(admitted) + more - limit
        return admitted[over - 1] + MINUTE - now if over > 0 else 0.0


_Found = tuple[Field, float]
"""A limit that refuses, and for how many seconds."""


def _refused(counter: _Counter, scope: Scope, now: float) -> _Found | None:
    """Return whether the minute refuses, or another place does, whichever is longer."""
    found: _Found | None = None
    limit = scope.quota.requests_per_minute
    if limit and (wait := counter.minute_wait(limit, 1 if scope.count == 1 else scope.counted, now)) > 0:
        found = "requests_per_minute", wait
    if counter.refused_until > now and scope.count == 1:
        found = _worse(found, counter.refused_for, counter.refused_until - now)
    return found


def _worse(found: _Found | None, field: Field, seconds: float) -> _Found:
    return found if found is not None and found[1] >= seconds else (field, seconds)


class Counters:
    """Counters by name. A limit that is reached refuses, and changes nothing."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most_users: int = MOST_USERS) -> None:
        self.unsaved: dict[str, int] = {}
        """Tokens of the day that no ledger has yet, by counter."""
        self.saves = False
        """True where a ledger takes `unsaved`."""
        self.day = ""
        self._clock = clock
        self._most = most_users
        self._seconds = 0.0
        self._fixed: dict[str, _Counter] = {}
        self._users: OrderedDict[str, _Counter] = OrderedDict()
        self._recent: OrderedDict[str, _Counter] = OrderedDict()
        """Users admitted within the last minute, the longest ago first."""

    def __len__(self) -> int:
        return len(self._fixed) + len(self._users)

    @property
    def estimate(self) -> float:
        """Seconds until a place among the calls at once is free, as far as the last ones tell."""
        return min(self._seconds or _FIRST_GUESS, _LONGEST_GUESS)

    def refusal(self, scopes: Iterable[Scope], left: float, *, hold: bool = True) -> Refusal | None:
        """Return the limit that refuses longest, None where all admit; `left` are the seconds left of the day.

        Without `hold` the request is over at once, and needs no place among those under way.
        """
        now, worst = self._clock(), None
        for scope in scopes:
            if (counter := self._known(scope.name)) is None:
                continue
            found = _refused(counter, scope, now)
            if counter.spent and counter.spent >= (scope.quota.tokens_per_day or math.inf):
                found = _worse(found, "tokens_per_day", left)
            if hold and counter.running and counter.running >= (scope.quota.at_once or math.inf):
                found = _worse(found, "at_once", self.estimate)
            if found is not None and (worst is None or found[1] > worst.seconds):
                worst = Refusal(scope, *found)
        return worst

    def take(self, scopes: Sequence[Scope], *, hold: bool) -> list[str]:
        """Count an admitted request; return the counters at which it is under way now, if `hold`."""
        now, held = self._clock(), []
        for scope in scopes:
            user, counted = scope.kind == "user", scope.counted
            counter = self._counter(scope.name, user=user)
            if counted:
                counter.let_go(now)
                counter.admitted.extend((now,) * counted)
                if user:
                    self._recent[scope.name] = counter
                    self._recent.move_to_end(scope.name)
            if hold and scope.quota.at_once:
                counter.running += 1
                held.append(scope.name)
        self._tidy(now)
        return held

    def _tidy(self, now: float) -> None:
        """Drop what is older than a minute: memory follows the requests of a minute and not the users of a day."""
        while self._recent:
            name, counter = next(iter(self._recent.items()))
            if counter.admitted and counter.admitted[-1] + MINUTE > now:
                return
            del self._recent[name]
            counter.admitted.clear()
            if not (counter.running or counter.spent) and self._users.get(name) is counter:
                del self._users[name]

    def release(self, held: Iterable[str]) -> None:
        """Count a request as ended."""
        for name in held:
            if (counter := self._known(name)) is not None:
                counter.running -= 1

    def lasted(self, seconds: float) -> None:
        """Learn from a request that was under way for so long."""
        self._seconds += (seconds - self._seconds) / 8 if self._seconds else seconds

    def refused(self, refusal: Refusal) -> None:
        """Remember the refusal of another place until its end."""
        counter = self._counter(refusal.scope.name, user=refusal.scope.kind == "user")
        counter.refused_until, counter.refused_for = self._clock() + refusal.seconds, refusal.field

    def forget_refusals(self) -> None:
        """Forget what other places refused: the limits may have changed."""
        for counter in (*self._fixed.values(), *self._users.values()):
            counter.refused_until = -math.inf

    def turn(self, day: str) -> None:
        """Begin another day where `day` is another one."""
        if day == self.day:
            return
        self.day = day
        self.unsaved.clear()
        for counter in (*self._fixed.values(), *self._users.values()):
            counter.spent = 0
            if counter.refused_for == "tokens_per_day":
                # The clock of the refusal stands still while a machine sleeps, and the wall's can be set.
                counter.refused_until = -math.inf

    def spend(self, name: str, tokens: int, *, user: bool) -> None:
        """Add to the tokens of the day."""
        self._counter(name, user=user).spent += tokens
        if self.saves and (name in self.unsaved or len(self.unsaved) < 2 * self._most):
            self.unsaved[name] = self.unsaved.get(name, 0) + tokens

    def taken_over(self, day: str, totals: Mapping[str, int]) -> None:
        """Adopt a ledger's totals of the day; what is unsaved comes on top."""
        if day != self.day:
            return
        for name, total in totals.items():
            counter = self._counter(name, user=name.startswith("user:"))
            counter.spent = total + self.unsaved.get(name, 0)

    def _known(self, name: str) -> _Counter | None:
        return self._fixed.get(name) or self._users.get(name)

    def _counter(self, name: str, *, user: bool) -> _Counter:
        table = self._users if user else self._fixed
        counter = table.get(name)
        if counter is None:
            counter = table[name] = _Counter()
            if len(self._users) > self._most:
                self._forget_one()
        elif user:
            self._users.move_to_end(name)
        return counter

    def _forget_one(self) -> None:
        """Forget the user seen longest ago that has no request under way."""
        for name, counter in self._users.items():
            if not counter.running:
                del self._users[name]
                self._recent.pop(name, None)
                return
