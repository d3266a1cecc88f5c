"""Lease: places at the provider that this serving process fills without asking, while no call waits anywhere.

The parent lends them and takes them back; LENDING in the shared block ends their use at once. What became of each call
goes to the parent in reports, which are the parent's view of this process: some milliseconds old at most, and sent at
once where a call failed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from sidecar.core.errors import SidecarError, UpstreamFailure
from sidecar.engine.request import RequestContext
from sidecar.processes.block import CALLS, DURATION, LENDING, Block
from sidecar.processes.failures import failure_of
from sidecar.processes.link import Link
from sidecar.processes.messages import ANSWERED, CANCELLED, FAULT, Began, Ended, Lend, Report

REPORT_SECONDS: Final = 0.02
"""Age of the oldest news in a report."""
WINDOW_SECONDS: Final = 1.0
"""Seconds over which the most calls at once are taken, before places that nobody needed go back."""
LEAST: Final = 4
"""Places that are kept however few are used."""
SPARE: Final = 4
"""Places in use for each further one that is kept."""
MARGIN: Final = 2.0
"""Multiple of a call's usual seconds that a request must have left: whether less will do is the parent's to judge."""


class Loan:
    """One call from a place of the lease, and the request that it belongs to."""

    __slots__ = ("_first", "_lease", "_over", "_reported", "at", "number", "seconds")

    def __init__(self, lease: "Lease", number: int, at: float) -> None:
        self._lease = lease
        self.number = number
        self.at = at
        """Point on the clock at which the call was sent."""
        self.seconds = 0.0
        """Seconds that the call took, once it is over."""
        self._first: float | None = None
        self._over: Ended | None = None
        self._reported = False

    def began(self) -> None:
        """Record the first event of a stream."""
        self._first = self._lease.clock() - self.at

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Record the answer's end, and free the place."""
        self._end(ANSWERED, None, prompt_tokens, completion_tokens)

    def failed(self, failure: UpstreamFailure, *, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        """Record the provider's failure, and free the place."""
        self._end(ANSWERED, failure, prompt_tokens, completion_tokens)

    def broken(self, exc: BaseException, *, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        """Record an end that is not the provider's, and free the place."""
        kind = FAULT if isinstance(exc, Exception) and not isinstance(exc, SidecarError) else CANCELLED
        self._end(kind, None, prompt_tokens, completion_tokens)

    def _end(self, how: int, failure: UpstreamFailure | None, prompt_tokens: int, completion_tokens: int) -> None:
        self.seconds = self._lease.clock() - self.at
        data = None if failure is None else failure_of(failure)
        self._over = Ended(self.number, how, self.seconds, self._first, prompt_tokens, completion_tokens, data)
        self._lease.freed()

    def settled(self, error: SidecarError | None, *, left: bool = False) -> None:
        """Report the end of the request, unless it was passed on. No error is success, unless its caller has `left`."""
        if self._reported:
            return
        if self._over is None:  # it never came to the call
            self.broken(asyncio.CancelledError())
        assert self._over is not None  # noqa: S101 - as above
        over = self._over
        over.error, over.left, over.ended = None if error is None else failure_of(error), left, self._lease.clock()
        self._lease.tell(over, now=over.failure is not None or over.how != ANSWERED)

    def passed_on(self) -> None:
        """Report the failed attempt alone: the parent goes on with the request."""
        assert self._over is not None  # noqa: S101 - after `failed`
        self._reported = True
        self._lease.tell(self._over, now=True)


class Lease:
    """The places lent to the process at the row `index`. `others` counts its requests that are with the parent."""

    def __init__(
        self, link: Link, block: Block, index: int, *, clock: Callable[[], float], others: Callable[[], int]
    ) -> None:
        self.clock = clock
        self.size = 0
        """Calls that may be in flight from here."""
        self.running = 0
        """Calls in flight from here."""
        self._link = link
        self._index = index
        self._row = block.rows[index]
        self._published = block.published
        self._others = others
        self._order = 0
        self._peak = 0
        """The most places that were wanted at once of late."""
        self._news: list[Began | Ended] = []
        self._timer: asyncio.TimerHandle | None = None
        self._window: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Lease {self.running}/{self.size}>"

    def take(self, request: RequestContext, *, action: str, stream: bool = False) -> Loan | None:
        """Return a place for the call of this request; None where the parent has to decide."""
        now = self.clock()
        if self.running >= self.size:
            self._wanted(self.running + self._others() + 1)
            if self._window is None:
                self._look_later()
            self._report_later()
            return None
        if not self._published[LENDING] or request.deadline - now <= MARGIN * self._published[DURATION]:
            return None
        self.running += 1
        self._row[CALLS] = self.running
        self._wanted(self.running)
        loan = Loan(self, self._link.number(), now)
        began = Began(
            loan.number,
            now,
            request.deadline,
            request.reader,
            request.origin,
            stream,
            request.request_id,
            request.route,
            action,
            request.token,
            request.arrived,
        )
        self.tell(began)
        return loan

    def _wanted(self, places: int) -> None:
        self._peak = max(self._peak, places)

    def freed(self) -> None:
        """Count the end of a call."""
        self.running -= 1
        self._row[CALLS] = self.running

    def lend(self, note: Lend) -> None:
        """Have so many places from now on."""
        smaller, self._order, self.size = note.size < self.size, note.order, note.size
        if smaller or not note.size:
            self.report()
        elif self._window is None:
            self._look_later()

    def tell(self, news: Began | Ended, *, now: bool = False) -> None:
        """Report something, within `REPORT_SECONDS` or at once."""
        self._news.append(news)
        if now or not self._published[LENDING]:  # places that were taken back are waited for
            self.report()
        else:
            self._report_later()

    def _report_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REPORT_SECONDS, self.report)

    def report(self) -> None:
        """Report everything now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        news, self._news = self._news, []
        self._link.tell(Report(self._index, self._order, self.size, self._peak, news))

    def _look_later(self) -> None:
        self._window = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._give_back)

    def _give_back(self) -> None:
        """Give back what nobody needed."""
        self._window = None
        needed, self._peak = max(LEAST, self._peak + self._peak // SPARE), self.running
        self.size = min(self.size, needed)
        self._report_later()
        if self.size > LEAST or self._peak:
            self._look_later()
