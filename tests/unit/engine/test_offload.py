"""Promises of work that is done elsewhere: which answer counts, and when the caller is told of the job instead."""

from collections.abc import Callable

import pytest

from sidecar.core.contract import Request
from sidecar.core.errors import (
    DeadlineExceeded,
    InternalError,
    JobGoesOn,
    Overloaded,
    RateLimited,
    SidecarError,
    UpstreamAuth,
    error_of,
)
from sidecar.engine.offload import Offloaded

REQUEST = Request(action="summarize", content="Rivers.")
KEY = b"key"


class Place:
    """Elsewhere, with what it is going to say."""

    def __init__(self, text: str | None, *, job: str = "j1") -> None:
        self.text_there = text
        self.job = job
        self.seen: list[str] = []

    def takes(self, request: Request) -> bool:
        return True

    async def text(self, request: Request, begun: Callable[[str], None]) -> str | None:
        if self.job:
            begun(self.job)
        return self.text_there


async def here() -> str:
    return "Here."


def admitted() -> None:
    pass


async def test_an_answer_from_there_is_the_answer() -> None:
    """Nothing is asked of admission then, and the job is forgotten."""

    def never() -> None:
        raise AssertionError

    offloaded = Offloaded(Place("There."))
    assert await offloaded.text(KEY, REQUEST, admit=never, here=here) == "There."
    assert offloaded.job(KEY) == ""


async def test_without_one_it_is_made_here_and_the_job_is_known_meanwhile() -> None:
    """Who runs out of time then is told of it too."""
    offloaded = Offloaded(Place(None))

    async def look() -> str:
        return offloaded.job(KEY)

    assert await offloaded.text(KEY, REQUEST, admit=admitted, here=look) == "j1"
    assert offloaded.job(KEY) == ""


@pytest.mark.parametrize("error", [Overloaded(), DeadlineExceeded()])
@pytest.mark.parametrize("job", ["j1", ""])
async def test_where_time_is_short_the_job_is_named_if_there_is_one(error: SidecarError, job: str) -> None:
    """Refused by admission or out of time later; without a job it is what it is."""

    def refuse() -> None:
        raise error

    async def late() -> str:
        raise error

    for admit, made in ((refuse, here), (admitted, late)):
        with pytest.raises(JobGoesOn if job else type(error)) as caught:
            await Offloaded(Place(None, job=job)).text(KEY, REQUEST, admit=admit, here=made)
        assert getattr(caught.value, "job_id", "") == job


async def test_what_fails_here_is_said_as_it_is() -> None:
    """A job elsewhere does not make a refused key a timeout."""

    async def fail() -> str:
        raise UpstreamAuth

    with pytest.raises(UpstreamAuth):
        await Offloaded(Place(None)).text(KEY, REQUEST, admit=admitted, here=fail)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("upstream_auth", UpstreamAuth),
        ("rate_limited", RateLimited),
        ("timeout", DeadlineExceeded),
        ("overloaded", Overloaded),
        ("internal", InternalError),
        ("", InternalError),
        ("of another version", InternalError),
    ],
)
def test_a_failure_that_was_written_down_is_the_same_again(code: str, kind: type[SidecarError]) -> None:
    """Its code and its words; a code that nobody knows is a fault of ours."""
    error = error_of(code, "What was <said>.")
    assert isinstance(error, kind)
    assert not isinstance(error, JobGoesOn)
    assert (error.code, str(error)) == (kind.code, "What was said .")
