"""Lending of places: while no call waits, serving processes send calls without asking, and report them afterwards.

Places are lent only where the gate would grant every call at once: one provider, below its ceiling, without a limit
found, a pause or an open breaker. A call that waits, a refusal or a late call ends that, and the places come back. What
is lent counts as taken until its process has said that it will not use it, so that the ceiling holds at every moment.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.core.errors import InternalError
from sidecar.core.observations import CallEnd
from sidecar.core.reach import EVERY
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.attempting import Attempting
from sidecar.engine.limiter.calls import LONGEST_ATTEMPT, Calls
from sidecar.engine.limiter.grant import Grant
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import RequestContext
from sidecar.engine.request_log import RequestLog
from sidecar.processes.block import CALLS, LENDING, Block
from sidecar.processes.failures import error_from
from sidecar.processes.messages import ANSWERED, CANCELLED, FAULT, Began, Ended, Lend, Report

REST_SECONDS: Final = 0.002
"""Seconds after a call had to wait in which nothing is lent; twice as many for each further such call soon after."""
QUEUE_SECONDS: Final = 0.25
"""The same, at most, and where calls still wait when places have come back."""
SPARE: Final = 4
"""Places that a process wishes for each further one that it gets."""
AMPLE: Final = 4
"""One of so many places must be left, all wishes fulfilled, for a process to get more than its own requests had."""

_INTERACTIVE: Final = EVERY["interactive"]


class _Request(RequestContext, frozen=True, kw_only=True):
    """The request of a call on a lent place, as the log has it."""

    named: str

    @property
    def reader(self) -> str:
        return self.named


class _Loan:
    """A call on a lent place."""

    __slots__ = ("attempt", "attempting", "deadline", "news", "trace")

    def __init__(self, calls: Calls, provider: Provider, news: Began, generation: int) -> None:
        self.news = news
        self.trace = Trace()
        self.deadline = Deadline(news.deadline)
        ticket = Ticket(news.user or f"@{news.origin}", stream=news.stream)
        retries = calls.retries(ticket)
        self.attempting = Attempting(
            calls, ticket, self.trace, self.deadline, retries, resumed=False, longest=LONGEST_ATTEMPT
        )
        granted = calls.gate.adopt(ticket, provider, Grant(news.at, generation, provider.running))
        self.attempt = self.attempting.begin(granted, news.at)

    def end(self, calls: Calls, news: Ended, now: float) -> None:
        """Report the call's outcome to the limit and to observers, as if it had ended now."""
        attempt = self.attempt
        if news.first is not None:
            self.deadline.at = math.inf
            calls.stream_began(attempt, self.trace)
        attempt.started = attempt.grant.at = now - news.seconds
        if news.first is not None:
            attempt.first = attempt.started + news.first
        self.trace.used(news.prompt_tokens, news.completion_tokens, estimate=int)
        self.attempting.end(_outcome(news))

    def log(self, log: RequestLog, news: Ended, now: float) -> None:
        """Report and log the end of the request."""
        began = self.news
        request = _Request(
            deadline=began.deadline,
            request_id=began.request_id,
            route=began.route,
            token=began.token,
            origin=began.origin,
            arrived=began.arrived + now - news.ended,
            named=began.user,
        )
        error = None if news.error is None else error_from(news.error)
        log.ended(request, self.trace, began.action, error, left=news.left)


def _outcome(news: Ended) -> BaseException | None:
    """Return what ended the call; None for an answer."""
    if news.failure is not None:
        return error_from(news.failure)
    if news.how == ANSWERED:
        return None
    return InternalError() if news.how == FAULT else asyncio.CancelledError()


class Borrower:
    """One serving process: places lent to it, and its calls on them, as far as they are known here."""

    def __init__(self, lender: "Lender", tell: Callable[[Lend], None]) -> None:
        self._lender = lender
        self._tell = tell
        self._order = 0
        self._row: int | None = None
        self.size = 0
        """Calls that the process may have in flight, at most: what was lent, until a report says that it is less."""
        self._wish = 0
        """Places that it had use for at once of late."""
        self.generation = 0
        self.loans: dict[int, _Loan] = {}

    @property
    def most(self) -> int:
        """Count its calls in flight if it fills every place."""
        return max(self.size, len(self.loans))

    @property
    def free(self) -> int:
        """Count the places that it may still fill."""
        return max(0, self.size - len(self.loans))

    def unreported(self, rows: Sequence[memoryview]) -> int:
        """Count its calls in flight that no report has had, as its row in the block says."""
        return 0 if self._row is None else max(0, rows[self._row][CALLS] - len(self.loans))

    def lend(self, size: int) -> None:
        """Lend so many places in all; 0 takes them back."""
        self._order += 1
        self.size = max(self.size, size)
        self._tell(Lend(self._order, size))

    def report(self, report: Report) -> None:
        """Take what the process reports."""
        lender, self._row = self._lender, report.row
        for news in report.news:
            if isinstance(news, Began):
                lender.began(self, news)
            else:
                lender.ended(self, news)
        if report.order == self._order and report.size != self.size:
            self.size = report.size
            lender.freed()
        self._wish = report.wish
        if self.lacks:
            lender.lend(self, self.lacks + self._wish // SPARE, ample=True)

    def came_back(self) -> None:
        """Lend the process the place of a request of its own that has ended, if it has use for more."""
        if self.lacks:
            self._lender.lend(self, 1)

    @property
    def lacks(self) -> int:
        """Count the places that it had use for and does not have."""
        return max(0, self._wish - self.most)

    def lost(self) -> None:
        """End everything: the process is gone."""
        self.size = 0
        now = self._lender.clock()
        for number, loan in list(self.loans.items()):
            over = Ended(number, CANCELLED, now - loan.news.at, None, 0, 0, None, ended=now, left=True)
            self._lender.ended(self, over)
        self._lender.gone(self)


class Lender:
    """Lends places at the provider of `calls` to serving processes, and counts the calls that they report.

    Without `lends` it lends none: several providers and limits by token are beyond what a serving process can decide.
    """

    def __init__(self, calls: Calls, log: RequestLog, block: Block, *, lends: bool = True) -> None:
        self.clock = calls.clock
        self._calls = calls
        self._gate = calls.gate
        self._log = log
        self._published, self._rows = block.published, block.rows
        self._borrowers: list[Borrower] = []
        self._lending = False
        """Flag: places may be lent out."""
        self._rests_until = -math.inf
        """Point on the clock before which nothing is lent."""
        self._rest = REST_SECONDS
        self._lends = lends
        self._gate.crowded, self._gate.unreported = self._crowded, self._unreported
        calls.observers.of_calls.append(self)

    def borrower(self, tell: Callable[[Lend], None]) -> Borrower:
        """Return the account of a new serving process; `tell` sends notes to it."""
        borrower = Borrower(self, tell)
        self._borrowers.append(borrower)
        return borrower

    def gone(self, borrower: Borrower) -> None:
        """Forget a process that is gone."""
        self._borrowers.remove(borrower)
        self.freed()

    def _may_lend(self) -> bool:
        """Return whether the gate would grant every call at once."""
        provider, gate = self._calls.pool.only, self._gate
        if provider is None or not self._lends or gate.closed or gate.waiting or not provider.serves(_INTERACTIVE):
            return False
        limit = provider.limit
        return limit.unset and limit.breaker.opened_by is None and not limit.pause

    def lend(self, borrower: Borrower, more: int, *, ample: bool = False) -> None:
        """Lend more places to a process; with `ample`, only as far as many are left.

        Calls that ask may be on their way, and would have to wait for places that were lent meanwhile.
        """
        provider = self._calls.pool.only
        if provider is None or self.clock() < self._rests_until:
            return
        if not self._may_lend():
            self._rests_until = self.clock() + QUEUE_SECONDS
            return
        room = provider.limit.ceiling - provider.running - self._gate.lent
        if ample:
            room -= sum(one.lacks for one in self._borrowers) + provider.limit.ceiling // AMPLE
        if (more := min(more, room)) <= 0:
            return
        self._lending, self._published[LENDING] = True, 1.0
        borrower.generation = provider.limit.generation
        borrower.lend(borrower.most + more)
        self._count()

    def _count(self) -> None:
        self._gate.lent = sum(borrower.free for borrower in self._borrowers)

    def freed(self) -> None:
        """Let waiting calls have places that came back."""
        self._count()
        self._gate.grant()

    def _crowded(self) -> None:
        """Take all places back, since a call waits."""
        if self._lending:
            now = self.clock()
            soon = now - self._rests_until < QUEUE_SECONDS
            self._rest = min(QUEUE_SECONDS, 2 * self._rest) if soon else REST_SECONDS
            self._rests_until = now + self._rest
            self._take_back()

    def _take_back(self) -> None:
        self._lending, self._published[LENDING] = False, 0.0
        for borrower in self._borrowers:
            if borrower.size:
                borrower.lend(0)

    def began(self, borrower: Borrower, news: Began) -> None:
        """Count a call that was sent from a lent place."""
        if (provider := self._calls.pool.only) is not None:
            self._gate.lent -= borrower.free > 0
            borrower.loans[news.number] = _Loan(self._calls, provider, news, borrower.generation)

    def ended(self, borrower: Borrower, news: Ended) -> None:
        """Count the end of such a call, and of its request."""
        if (loan := borrower.loans.pop(news.number, None)) is None:
            return
        self._gate.lent += borrower.free > 0  # before the slot is given back: the process may fill its place again
        loan.end(self._calls, news, self.clock())
        if news.ended:
            loan.log(self._log, news, self.clock())

    def _unreported(self) -> int:
        return sum(one.unreported(self._rows) for one in self._borrowers)

    def call_ended(self, end: CallEnd) -> None:
        """Take the places back once a call's end tells of a limit, or of a provider that is down."""
        if end.code != "ok" and self._lending and not self._may_lend():
            self._take_back()
