"""Overview of the jobs: what ended, and the progress of what is in progress, as pages and metrics show it.

An overview costs Redis more than the monitor's look each second, so it is taken every few seconds. Ids appear as hashes
under a key of this process: a job's id opens its result.
"""

import secrets
from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from sidecar.core.jobs import LANES, Lane
from sidecar.jobs import scripts
from sidecar.jobs.redis import Redis, bounded

OVERVIEW_SECONDS: Final = 3.0
"""Seconds between two overviews."""
MOST_RUNS: Final = 200
"""Jobs in progress of one lane whose progress is read."""
MOST_SHOWN: Final = 20
"""Jobs in progress that a page shows, those with the most parts first."""

End = Literal["complete", "failed", "cancelled"]
ENDS: Final[tuple[End, ...]] = ("complete", "failed", "cancelled")


class Progress(msgspec.Struct, frozen=True):
    """One job in progress."""

    id: str
    """A hash, which changes at every start of this process."""
    lane: Lane
    action: str
    done: int
    """Finished provider calls of `total`; both are 0 until the total is known."""
    total: int


class Parts(msgspec.Struct, frozen=True):
    """Provider calls of the jobs in progress of a lane, as far as their number is known."""

    done: int
    total: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs by lane: ended ones by state, and those in progress."""

    day: dict[Lane, dict[End, int]]
    """Jobs that ended in the last 24 hours."""
    ended: dict[Lane, dict[End, int]]
    """Jobs that ended since this was counted."""
    parts: dict[Lane, Parts]
    progress: list[Progress]


NOTHING: Final = Overview(day={}, ended={}, parts={}, progress=[])


class Overviews:
    """Takes overviews of one Redis."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._script = redis.register_script(scripts.OVERVIEW)
        self._prefix = prefix
        self._key = secrets.token_bytes(32)

    async def look(self, *, limit: float = 1.0) -> Overview:
        """Return an overview now; raise `JobsUnavailable` where Redis fails."""
        async with bounded(limit):
            day, ended, found = await self._script((), [self._prefix, MOST_RUNS, *LANES])
        runs = [self._progress(*map(_text, run)) for run in found]
        lanes = {lane: [run for run in runs if run.lane == lane] for lane in LANES}
        return Overview(
            day=_by_lane(day),
            ended=_by_lane(ended),
            parts={lane: Parts(sum(r.done for r in some), sum(r.total for r in some)) for lane, some in lanes.items()},
            progress=sorted(runs, key=lambda run: -run.total)[:MOST_SHOWN],
        )

    def _progress(self, lane: Any, job_id: str, action: str, done: str, total: str) -> Progress:
        shown = blake2b(job_id.encode(), key=self._key, digest_size=4).hexdigest()
        # A record of a later version may hold anything.
        counts = [int(count) if count.isdecimal() else 0 for count in (done, total)]
        return Progress(shown, lane, action, *counts)


def _text(raw: bytes) -> str:
    return raw.decode()


def _by_lane(pairs: list[Any]) -> dict[Lane, dict[End, int]]:
    """Return counts by lane and state of a script's fields and values; those of later versions are left out."""
    counts = {field.decode(): int(count) for field, count in zip(pairs[::2], pairs[1::2], strict=True)}
    return {lane: {end: counts.get(f"{lane}:{end}", 0) for end in ENDS} for lane in LANES}
