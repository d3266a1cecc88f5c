"""Result of a rehearsal in numbers, from the clicks of its log. Pure; the keys are those of `--json`."""

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from sidecar.rehearse.drive import Log
from sidecar.rehearse.plan import Plan
from sidecar.rehearse.replies import Click, Kind
from sidecar.rehearse.server_numbers import ProviderCalls


class Waits(msgspec.Struct, frozen=True):
    """Spread of waits, in seconds."""

    p50: float
    p95: float
    p99: float
    max: float


class Php(msgspec.Struct, frozen=True):
    """Cost of the class to PHP."""

    workers: int
    """Most calls held at once, each of which holds a PHP worker."""
    worker_seconds: float
    fallback_processes: int
    """Clicks after which the deployed plugin starts a process: no connection, no answer in its time, or no 2xx."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Result so far. A click is in exactly one of `answered`, `refused`, `late`, `errors` and `unfinished`."""

    plan: Plan
    interrupted: bool
    seconds: float
    clicks: int
    """Clicks that ended: all but the unfinished ones."""
    answered: int
    refused: dict[str, int]
    """Clicks refused for want of room, by code."""
    late: dict[str, int]
    """Clicks whose time was over, by code: `timeout` is the sidecar's answer, `gave_up` the caller's own limit."""
    errors: dict[str, int]
    unfinished: int
    waits: Waits | None
    """Waits of the clicks answered or late; None where there are none."""
    refusal_waits: Waits | None
    """Waits of the refused clicks."""
    provider: ProviderCalls | None
    php: Php
    behind_seconds: float
    """Most seconds that a user came later than planned, because the rehearsal's own machine was too busy."""

    def share(self, count: int) -> float:
        """Return the share of the ended clicks, from 0 to 1; 0 where none ended."""
        return count / self.clicks if self.clicks else 0.0


def result_of(plan: Plan, log: Log, provider: ProviderCalls | None, *, interrupted: bool) -> Result:
    """Return the result of the clicks in `log`."""
    kinds: dict[Kind, Counter[str]] = {kind: Counter() for kind in log.counts}
    for click in log.clicks:
        kinds[click.kind][click.reply.code] += 1
    return Result(
        plan=plan,
        interrupted=interrupted,
        seconds=round(log.seconds, 3),
        clicks=len(log.clicks) - log.counts["unfinished"],
        answered=log.counts["answered"],
        refused=_by_count(kinds["refused"]),
        late=_by_count(kinds["late"]),
        errors=_by_count(kinds["error"]),
        unfinished=log.counts["unfinished"],
        waits=_waits(log.clicks, "answered", "late"),
        refusal_waits=_waits(log.clicks, "refused"),
        provider=provider,
        php=Php(
            workers=log.most_waiting,
            worker_seconds=round(sum(click.seconds for click in log.clicks), 1),
            fallback_processes=sum(click.reply.fallback for click in log.clicks),
        ),
        behind_seconds=round(log.behind, 3),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the ordered values that at least `share` of them do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _waits(clicks: Sequence[Click], *kinds: Kind) -> Waits | None:
    ordered = sorted(click.seconds for click in clicks if click.kind in kinds)
    if not ordered:
        return None
    p50, p95, p99, most = (round(percentile(ordered, share), 3) for share in (0.5, 0.95, 0.99, 1.0))
    return Waits(p50, p95, p99, most)


def _by_count(codes: Counter[str]) -> dict[str, int]:
    return dict(codes.most_common())
