"""Values of the jobs' model: records, requests, and what lasts for a time."""

from dataclasses import dataclass
from typing import Any, Final

LEASE: Final = 15
"""Seconds of a lease, and of arq's hold."""
SENT: Final = 600
"""Seconds of a text that was sent and not enqueued."""
TEXT: Final = 24 * 3600
RECORD: Final = 26 * 3600
MONTH: Final = 30 * 24 * 3600
"""Seconds that the numbers of ended jobs last."""
CRASHES: Final = 20
Keyspace = dict[str, tuple[Any, int | None]]
"""Every key with its value and the seconds it has left."""
OPEN: Final = ("queued", "in_progress")
TIMEOUT: Final = ("timeout", "The job waited for too long.")
CRASHED: Final = ("internal", "The worker ended again and again while it was at this job.")


@dataclass
class Lasting:
    """A value with the seconds it has left."""

    value: Any
    left: int


@dataclass
class Record:
    """A job's record; equal to what Redis holds, field by field."""

    gen: str
    lane: str
    status: str = "queued"
    action: str = "summarize"
    data: str = ""
    error: str = ""
    code: str = ""
    done: int = 0
    total: int = 0
    tries: int = 0
    crashes: int = 0
    left: int = 0
    """1 where the anonymous submitter has left."""


@dataclass(frozen=True)
class Entry:
    """One request of a list: the job's id, the submitter, the text and its bytes."""

    id: str
    submitter: str
    text: str
    size: int
