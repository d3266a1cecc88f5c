"""Models of the jobs: entries of a list, and the state of a job."""

from typing import Annotated, Literal

from pydantic import Field

from sidecar.core.jobs import MOST_AT_ONCE
from sidecar.http.openapi.ai import ActionRequest, Format
from sidecar.http.openapi.base import Shape
from sidecar.http.openapi.errors import Code, Sentence
from sidecar.http.openapi.status import Count

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
"""An id: a hash of what determines the answer."""
State = Literal["queued", "in_progress", "complete", "failed", "cancelled"]


class JobList(Shape):
    """Requests that are enqueued together, all or none."""

    jobs: Annotated[list[ActionRequest], Field(min_length=1, max_length=MOST_AT_ONCE)]


class Enqueued(Shape):
    """A job that was enqueued or joined."""

    success: Literal[True]
    job_id: JobId
    status: State
    """`queued`, or what a job of the same request had come to."""


class EnqueuedEntry(Shape):
    """One job of a list."""

    job_id: JobId
    status: State


class EnqueuedList(Shape):
    """The jobs of a list, in its order."""

    success: Literal[True]
    jobs: Annotated[list[EnqueuedEntry], Field(min_length=1, max_length=MOST_AT_ONCE)]


class JobIds(Shape):
    """The jobs that a caller asks about."""

    job_ids: Annotated[
        list[Annotated[str, Field(pattern="^[!-~]{1,128}$")]], Field(min_length=1, max_length=MOST_AT_ONCE)
    ]
    format: Format = None
    """Format of `data`; if absent, null or blank: FORMAT's, else as the provider wrote it."""


class JobEntry(Shape):
    """One job as it is now."""

    job_id: JobId
    status: State
    data: str | None = None
    """The answer's text; only where `status` is `complete`."""
    error: Sentence | None = None
    """Cause of the failure, for a person; only where `status` is `failed`."""
    code: Code | None = None
    """Code of the failure, for a program; only where `status` is `failed`."""
    parts_done: Count
    """Provider calls of its text that are done."""
    parts_total: Count
    """Provider calls that its text needs; 0 before that is known."""


class Job(JobEntry):
    """The job as it is now."""

    success: Literal[True]


class UnknownJob(Shape):
    """An id without a job: there was none, or it has expired."""

    job_id: Annotated[str, Field(max_length=128)]
    status: Literal["unknown"]


class JobStates(Shape):
    """The jobs that were asked about, in the order of their ids."""

    success: Literal[True]
    jobs: Annotated[list[JobEntry | UnknownJob], Field(min_length=1, max_length=MOST_AT_ONCE)]
