"""A job as everybody outside Redis knows it. How it is stored is the business of sidecar/jobs."""

from typing import Final, Literal

import msgspec

JobState = Literal["queued", "in_progress", "complete", "failed", "cancelled"]
Lane = Literal["night", "day"]
"""`night`: enqueued to be collected later. `day`: a caller of /ai waits; it has slots of its own."""

LANES: Final[tuple[Lane, ...]] = ("day", "night")
MOST_AT_ONCE: Final = 1000
"""Entries of one list of jobs, and ids of one question (CONTRACT, "Jobs")."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job as it was last seen."""

    job_id: str
    status: JobState
    data: str = ""
    """The answer's text, once complete."""
    error: str = ""
    """Why it failed, for a person; `code` for a program."""
    code: str = ""
    parts_done: int = 0
    """Provider calls of its text that are done, of `parts_total`; both 0 before that is known."""
    parts_total: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status not in ("queued", "in_progress")
