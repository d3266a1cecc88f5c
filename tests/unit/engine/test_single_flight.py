"""Single flight: the same work once, one waiter's leaving no other's loss, failures never cached."""

import asyncio
import gc

from sidecar.core.errors import UpstreamError
from sidecar.engine.answer_cache import AnswerCache, Key
from sidecar.engine.deadline import Deadline, Point
from sidecar.engine.single_flight import SingleFlight

FAR = Deadline(1e12)
KEY: Key[str] = Key(b"k")
BODY: Key[bytes] = Key(b"body")


class Work:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.deadlines: list[Point] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, deadline: Point) -> str:
        self.started += 1
        self.deadlines.append(deadline)
        number = self.started
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"answer {number}"


def flights_of(*, ttl: float = 100.0, size: int = 1_000_000) -> SingleFlight:
    return SingleFlight(AnswerCache(ttl=ttl, size=size))


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_same_work_is_done_once() -> None:
    """Three hundred who ask for the same while it is made get one piece of work."""
    flights, work = flights_of(), Work()
    tasks = [asyncio.create_task(flights.share(KEY, work, deadline=FAR)) for _ in range(300)]
    await settle()
    work.gate.set()
    assert set(await asyncio.gather(*tasks)) == {"answer 1"}
    assert (work.started, flights.joined, len(flights)) == (1, 299, 0)


async def test_different_work_is_not_shared() -> None:
    """Another key is another flight."""
    flights, work = flights_of(), Work()
    work.gate.set()
    assert await flights.share(Key[str](b"a"), work, deadline=FAR) != await flights.share(
        Key[str](b"b"), work, deadline=FAR
    )


async def test_one_waiters_leaving_fails_no_other() -> None:
    """The first caller goes away; the second gets the answer all the same."""
    flights, work = flights_of(), Work()
    first = asyncio.create_task(flights.share(KEY, work, deadline=FAR))
    await settle()
    second = asyncio.create_task(flights.share(KEY, work, deadline=FAR))
    await settle()
    first.cancel()
    await settle()
    work.gate.set()
    assert await second == "answer 1"
    assert work.cancelled == 0


async def test_the_last_one_to_leave_ends_the_work() -> None:
    """Nobody waits any more: the work stops, and nothing is left behind."""
    flights, work = flights_of(), Work()
    tasks = [asyncio.create_task(flights.share(KEY, work, deadline=FAR)) for _ in range(2)]
    await settle()
    for task in tasks:
        task.cancel()
    await settle()
    assert (work.cancelled, len(flights)) == (1, 0)


async def test_a_newcomer_as_the_last_one_leaves_gets_an_answer() -> None:
    """The caller starts a new flight instead of joining the one that is being cancelled."""
    flights, work = flights_of(), Work()
    leaver = asyncio.create_task(flights.share(KEY, work, deadline=FAR))
    await settle()
    leaver.cancel()
    newcomer = asyncio.create_task(flights.share(KEY, work, deadline=FAR))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.gate.set()
    assert await newcomer in {"answer 1", "answer 2"}
    assert leaver.cancelled()


async def test_a_flight_has_its_latest_waiters_deadline() -> None:
    """A joiner with more time gives the work more time; when the joiner leaves, that time is gone again."""
    flights, work = flights_of(), Work()
    early = asyncio.create_task(flights.share(KEY, work, deadline=Deadline(10.0)))
    await settle()
    assert work.deadlines[0].at == 10.0
    late = asyncio.create_task(flights.share(KEY, work, deadline=Deadline(20.0)))
    await settle()
    assert work.deadlines[0].at == 20.0
    late.cancel()
    await settle()
    assert work.deadlines[0].at == 10.0
    work.gate.set()
    await early


async def test_a_failure_reaches_everybody_and_is_not_cached() -> None:
    """Each waiter hears why; the next one tries anew."""
    flights, work = flights_of(), Work()
    work.error = UpstreamError()
    work.gate.set()
    results = await asyncio.gather(*(flights.share(KEY, work, deadline=FAR) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [UpstreamError] * 3
    assert flights.find(KEY) is None
    work.error = None
    assert await flights.share(KEY, work, deadline=FAR) == "answer 2"


async def test_a_failure_nobody_waits_for_is_silent() -> None:
    """Work that fails while it is cancelled leaves no complaint behind."""
    flights = flights_of()
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def stubborn(deadline: Point) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise UpstreamError from None
        return ""

    task = asyncio.create_task(flights.share(KEY, stubborn, deadline=FAR))
    await settle()
    task.cancel()
    await settle()
    del task  # its traceback holds the flight
    gc.collect()
    assert complaints == []


async def test_a_failure_in_the_moment_its_last_waiter_leaves_is_silent() -> None:
    """As where a deadline passes while all calls are refused: the work has failed, and its waiter is cancelled."""
    flights, work = flights_of(), Work()
    work.error = UpstreamError()
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    task = asyncio.create_task(flights.share(KEY, work, deadline=FAR))
    await settle()
    work.gate.set()
    await asyncio.sleep(0)
    assert KEY not in flights
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    del task, work  # their tracebacks hold the flight
    gc.collect()
    await settle()
    assert complaints == []


async def test_a_finished_answer_is_cached_for_others() -> None:
    """The next user who asks pays nothing."""
    flights, work = flights_of(), Work()
    work.gate.set()
    await flights.share(KEY, work, deadline=FAR, reader="anna")
    assert flights.find(KEY, "ben") == "answer 1"
    assert flights.hits == 1


async def test_the_same_request_after_the_answer_gets_another() -> None:
    """Moodle's button "Regenerate": who had the answer, made or kept, gets a new one, which replaces it."""
    flights, work = flights_of(), Work()
    work.gate.set()
    await flights.share(KEY, work, deadline=FAR, reader="anna")
    assert flights.find(KEY, "anna") is None
    assert flights.find(KEY, "ben") == "answer 1"
    assert flights.find(KEY, "ben") is None
    await flights.share(KEY, work, deadline=FAR, reader="anna")
    assert flights.find(KEY, "ben") == "answer 2"


async def test_callers_without_a_name_share_the_cache() -> None:
    """A caller without a name looks like every other, and so gets the cached answer."""
    flights, work = flights_of(), Work()
    work.gate.set()
    await flights.share(KEY, work, deadline=FAR)
    assert flights.find(KEY) == flights.find(KEY) == "answer 1"


async def test_each_waiter_has_a_failure_of_its_own() -> None:
    """One exception raised in three hundred tasks would drag all their traces along."""
    flights, work = flights_of(), Work()
    work.error = UpstreamError("Odd.")
    work.gate.set()
    results = await asyncio.gather(*(flights.share(KEY, work, deadline=FAR) for _ in range(3)), return_exceptions=True)
    assert len({id(result) for result in results}) == 3
    assert {str(result) for result in results} == {"Odd."}


async def test_a_body_is_shared_as_it_is() -> None:
    """Every waiter, and the cache, has the very bytes that the work made: nothing turns them into text and back."""
    flights = flights_of()
    made = b"\xff\xfe is no UTF-8"

    async def work(_: Point) -> bytes:
        await asyncio.sleep(0)
        return made

    answers = await asyncio.gather(*(flights.share(BODY, work, deadline=FAR) for _ in range(3)))
    assert all(answer is made for answer in answers)
    assert flights.find(BODY) is made
    assert (flights.joined, flights.hits) == (2, 1)
