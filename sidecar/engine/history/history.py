"""History of one service: a tick a second reads the counters; samples of an hour stay in memory. Plain functions."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from itertools import starmap
from typing import Any, Final

import msgspec

from sidecar import __version__
from sidecar.engine.history.advice import Facts, Jobs, advice
from sidecar.engine.history.refused_users import RefusedUsers
from sidecar.engine.history.ring import COLUMNS, Ring
from sidecar.engine.history.snapshot import Past, Provider, Quantiles, Rates, Refused, RefusedUser, Snapshot, Tokens
from sidecar.engine.history.totals import CALLERS, Flow, Totals, between, is_refused, quantile, totals_of
from sidecar.engine.service import Service
from sidecar.engine.statistics import Refusal
from sidecar.engine.status import status_of

RATE_SECONDS: Final = 10
MINUTE: Final = 60
SAMPLE_SECONDS: Final = 5
SAMPLES: Final = 720
"""Samples of an hour."""
LIVE_SAMPLES: Final = 300
"""Samples of a second each."""
MOST_ROWS: Final = 20
"""Rows of refusals in a snapshot."""
MOST_USERS: Final = 5


class History:
    """Reads `service` once a second. `jobs` returns the numbers of jobs, None without jobs.

    `embedded`: the server starts its own worker.
    Memory is bounded: 110 KB of samples, and about 300 KB of a minute's totals.
    """

    def __init__(
        self,
        service: Service,
        *,
        jobs: Callable[[], object] | None = None,
        embedded: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._jobs = jobs
        self._embedded = embedded
        self._wall = wall
        self.started = wall()
        """Seconds since 1970."""
        self._users = RefusedUsers()
        service.log.observers.of_requests.append(self._users)
        now = totals_of(service.log.statistics, service.clock())
        self._minute: deque[Totals] = deque([now], maxlen=MINUTE + 1)
        self._since_sample = now
        self._hour, self._seconds = Ring(SAMPLES), Ring(LIVE_SAMPLES)
        self._second: dict[str, float | None] = {"at": round(self.started, 1)}
        self._five: dict[str, float | None] | None = None
        self._day, self._day_began = _day(self.started), self.started
        self._tokens_before: Counter[tuple[str, str]] = Counter()

    def tick(self) -> None:
        """Take a sample of the second that ends now; every fifth call also takes one of the hour."""
        wall = self._wall()
        now = totals_of(self._service.log.statistics, self._service.clock())
        flow = between(self._minute[-1], now)
        self._minute.append(now)
        self._users.tick()
        # Quantiles of a single second jump about: they are those of five.
        lately = self._flow(SAMPLE_SECONDS)
        self._second, self._five = self._sample(flow, lately, wall), None
        self._seconds.append(wall, self._second)
        if now.at - self._since_sample.at >= SAMPLE_SECONDS - 0.5:
            five = between(self._since_sample, now)
            self._five = self._sample(five, five, wall)
            self._hour.append(wall, self._five)
            self._since_sample = now
        if (day := _day(wall)) != self._day:
            self._day, self._day_began, self._tokens_before = day, wall, self._tokens()

    def past(self) -> Past:
        """Return all samples."""
        return Past(self._seconds.columns(), self._hour.columns())

    def snapshot(self) -> Snapshot:
        """Return the state as of the last tick, and what to do about it."""
        minute, ten = self._flow(MINUTE), self._flow(RATE_SECONDS)
        status, jobs = status_of(self._service), self._jobs_now()
        if jobs is not None:
            status = msgspec.structs.replace(status, jobs=jobs)
        pool = self._service.kernel.calls.pool
        down = {one.name: one.limit.breaker.opened_by for one in pool.providers}
        users = self._users.minute()
        facts = Facts(
            status, {name: failure for name, failure in down.items() if failure}, minute, _numbers(jobs), self._embedded
        )
        return Snapshot(
            at=round(self._wall(), 1),
            started=round(self.started, 1),
            version=__version__,
            status=status,
            rates=Rates(*map(ten.rate, (ten.answered, ten.shared, ten.refused, ten.failed, ten.left))),
            wait=_quantiles(minute.wait),
            latency=_quantiles(minute.all_latency()),
            providers=[self._provider(one, minute) for one in pool.providers],
            refused=(rows := _refused(minute)),
            unlisted=sum(minute.refusals.values()) - sum(row.count for row in rows),
            affected=len(users),
            users=list(starmap(RefusedUser, users.most_common(MOST_USERS))),
            tokens=self._today(),
            advice=advice(facts),
            second=self._second,
            sample=self._five,
        )

    def _flow(self, seconds: int) -> Flow:
        """Return what was counted in the last `seconds` ticks, or since the start where there were fewer."""
        return between(self._minute[max(0, len(self._minute) - 1 - seconds)], self._minute[-1])

    def _sample(self, flow: Flow, lately: Flow, wall: float) -> dict[str, float | None]:
        service, calls = self._service, self._service.kernel.calls
        calls.limit.settle()
        latency = lately.all_latency()
        rates = {
            "answered": flow.answered,
            "shared": flow.shared,
            "refused": flow.refused,
            "failed": flow.failed,
            "left": flow.left,
            **flow.by_cause(),
            **flow.tokens,
        }
        held = jobs.held if (jobs := _numbers(self._jobs_now())) else {}
        return {
            "at": round(wall, 1),
            **{name: flow.rate(count) for name, count in rates.items() if name in COLUMNS},
            "waiting": calls.gate.waiting,
            "held": service.admission.held,
            "running": calls.gate.running,
            "found": calls.limit.slots,
            "ceiling": calls.limit.ceiling,
            "wait_p50": quantile(lately.wait, 0.5),
            "wait_p95": quantile(lately.wait, 0.95),
            "latency_p50": quantile(latency, 0.5),
            "latency_p95": quantile(latency, 0.95),
            **{f"jobs_{lane}": count for lane, count in held.items()},
        }

    def _jobs_now(self) -> object:
        return None if self._jobs is None else self._jobs()

    def _provider(self, provider: Any, minute: Flow) -> Provider:
        counts, failure = minute.latency.get(provider.name, ()), provider.limit.breaker.opened_by
        return Provider(
            name=provider.name,
            down="" if failure is None else failure.code,
            running=provider.running,
            slots=provider.limit.slots,
            ceiling=provider.limit.ceiling,
            pause=round(provider.limit.pause, 1),
            latency=_quantiles(counts),
            answered=sum(counts),
        )

    def _tokens(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for key, count in self._service.log.statistics.tokens.items():
            found[key.action, key.kind] += count
        return found

    def _today(self) -> Tokens:
        kinds: Counter[str] = Counter()
        actions: Counter[str] = Counter()
        for (action, kind), count in (self._tokens() - self._tokens_before).items():
            kinds[kind] += count
            actions[action] += count
        return Tokens(round(self._day_began, 1), kinds["prompt"], kinds["completion"], actions)


def _quantiles(counts: Any) -> Quantiles:
    return Quantiles(quantile(counts, 0.5), quantile(counts, 0.95))


def _refused(minute: Flow) -> list[Refused]:
    rows = sorted(minute.refusals.items(), key=lambda row: -row[1])[:MOST_ROWS]
    return [Refused(key.route, key.token, key.cause, _kind(key), count) for key, count in rows]


def _kind(key: Refusal) -> Any:
    if is_refused(key):
        return "refused"
    return "caller" if key.cause in CALLERS else "failed"


def _numbers(jobs: object) -> Jobs | None:
    """Return the jobs' numbers for rules and samples; the capability that stores jobs describes more."""
    if jobs is None:
        return None
    described: Mapping[str, Any] = msgspec.to_builtins(jobs)
    return msgspec.convert(described, Jobs)


def _day(wall: float) -> tuple[int, int]:
    local = time.localtime(wall)
    return local.tm_year, local.tm_yday
