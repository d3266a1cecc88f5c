"""Job: its states, lanes and fields as callers see them. `sidecar/jobs` stores jobs in Redis."""

from typing import Final, Literal, Protocol

import msgspec

JobState = Literal["queued", "in_progress", "complete", "failed", "cancelled"]
Lane = Literal["night", "day"]
"""`night`: jobs enqueued to be collected later. `day`: jobs that a caller of /ai waits for, with slots of their own."""

LANES: Final[tuple[Lane, ...]] = ("day", "night")
MOST_AT_ONCE: Final = 1000
"""Entries of one list of jobs, and ids of one query (CONTRACT, "Jobs")."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job as it was last seen."""

    job_id: str
    status: JobState
    data: str = ""
    """The answer's text, once complete."""
    error: str = ""
    """The failure's sentence, for people; `code` is for programs."""
    code: str = ""
    parts_done: int = 0
    """Finished provider calls of the job's text, of `parts_total`; both are 0 until the total is known."""
    parts_total: int = 0

    @property
    def ended(self) -> bool:
        """True once the job's state is final."""
        return self.status not in ("queued", "in_progress")


class JobsHealth(Protocol):
    """Port: health of Redis and the workers, as they were last seen."""

    @property
    def redis(self) -> str:
        """`up` or `down`."""
        ...

    @property
    def workers(self) -> int:
        """Number of workers alive."""
        ...
