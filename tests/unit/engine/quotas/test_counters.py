"""Counters of limits: what they admit, held against a plain log of everything, and the truth of their waits."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.quotas import Quota, Refusal, Scope
from sidecar.engine.quotas.counters import Counters
from tests.support.clocks import Clock

DAY_LEFT = 5000.0
quotas = st.builds(Quota, requests_per_minute=st.integers(0, 4), at_once=st.integers(0, 3))


def scope(name: str = "site", count: int = 1, **limits: int) -> Scope:
    return Scope(kind="user" if name.startswith("user:") else "site", name=name, quota=Quota(**limits), count=count)


class Log:
    """Everything that was admitted, and what a limit says of it, worked out the slow way."""

    def __init__(self) -> None:
        self.admitted: defaultdict[str, list[float]] = defaultdict(list)
        self.running: defaultdict[str, int] = defaultdict(int)

    def admits(self, one: Scope, now: float) -> bool:
        quota = one.quota
        within = sum(at > now - 60 for at in self.admitted[one.name])
        rate = not quota.requests_per_minute or within + one.counted <= quota.requests_per_minute
        return rate and not (quota.at_once and self.running[one.name] >= quota.at_once)


@given(
    site=quotas,
    user=quotas,
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "end", "wait"]),
            st.sampled_from(["anna", "ben"]),
            st.integers(1, 6),
            st.integers(0, 70),
        ),
        max_size=60,
    ),
)
def test_admitted_is_what_no_limit_forbids(site: Quota, user: Quota, steps: list[tuple[str, str, int, int]]) -> None:
    """Never more within any minute or at once, never a refusal without need, and a refusal leaves no trace."""
    clock, log = Clock(), Log()
    running: list[list[str]] = []
    counters = Counters(clock=clock)
    for verb, name, count, seconds in steps:
        if verb == "wait":
            clock.now += seconds
        elif verb == "end" and running:
            held = running.pop()
            counters.release(held)
            for freed in held:
                log.running[freed] -= 1
        elif verb == "ask":
            scopes = [
                Scope(kind="site", name="site", quota=site, count=count),
                Scope(kind="user", name=f"user:{name}", quota=user, count=count),
            ]
            refusal = counters.refusal(scopes, DAY_LEFT)
            assert (refusal is None) == all(log.admits(one, clock.now) for one in scopes)
            if refusal is None:
                running.append(counters.take(scopes, hold=True))
                for one in scopes:
                    log.admitted[one.name] += [clock.now] * one.counted
                    log.running[one.name] += bool(one.quota.at_once)
            elif refusal.field == "requests_per_minute":
                assert 0 < refusal.seconds <= 60


@given(limit=st.integers(1, 5), gaps=st.lists(st.integers(0, 30), min_size=1, max_size=20), count=st.integers(1, 7))
def test_a_wait_is_the_shortest_true_one(limit: int, gaps: list[int], count: int) -> None:
    """After it the same request is admitted; half a second sooner it is not."""
    clock = Clock()
    counters = Counters(clock=clock)
    many = scope(count=count, requests_per_minute=limit)
    for gap in gaps:
        clock.now += gap
        if counters.refusal([scope(requests_per_minute=limit)], DAY_LEFT) is None:
            counters.take([scope(requests_per_minute=limit)], hold=False)
    if (refusal := counters.refusal([many], DAY_LEFT)) is None:
        return
    clock.now += refusal.seconds - 0.5
    assert counters.refusal([many], DAY_LEFT) is not None
    clock.now += 0.5
    assert counters.refusal([many], DAY_LEFT) is None


def test_the_longest_refusal_counts() -> None:
    """A caller that waits for the first limit and meets the next one was told a lie."""
    counters = Counters(clock=Clock())
    counters.turn("2027-01-31")
    both = scope(requests_per_minute=1, tokens_per_day=10)
    counters.take([both], hold=False)
    counters.spend("site", 10, user=False)
    refusal = counters.refusal([both], DAY_LEFT)
    assert refusal is not None
    assert (refusal.field, refusal.seconds) == ("tokens_per_day", DAY_LEFT)


def test_the_days_number_may_be_reached_and_ends_with_the_day() -> None:
    """Nobody knows what an answer costs before it is there: the refusal comes once the number is reached."""
    counters = Counters(clock=Clock())
    counters.turn("2027-01-31")
    daily = scope(tokens_per_day=100)
    counters.spend("site", 99, user=False)
    assert counters.refusal([daily], DAY_LEFT) is None
    counters.spend("site", 500, user=False)
    assert counters.refusal([daily], DAY_LEFT) is not None
    counters.turn("2027-02-01")
    assert counters.refusal([daily], DAY_LEFT) is None


def test_the_wait_for_a_place_is_what_requests_took() -> None:
    """A second before any was measured, and never more than a minute."""
    counters = Counters(clock=Clock())
    counters.take([scope(at_once=1)], hold=True)
    waits = []
    for seconds in (8.0, 16.0, 10_000.0):
        refusal = counters.refusal([scope(at_once=1)], DAY_LEFT)
        assert refusal is not None
        waits.append(refusal.seconds)
        counters.lasted(seconds)
    assert waits == [1.0, 8.0, 9.0]
    assert counters.estimate == 60.0


def test_users_are_forgotten_the_longest_unseen_first() -> None:
    """The table is bounded whatever names callers send; site and tokens are none of it, nor who has a request on."""
    counters = Counters(clock=Clock(), most_users=3)
    counters.take([scope(requests_per_minute=1)], hold=False)
    counters.take([scope("user:busy", at_once=1)], hold=True)
    for number in range(1000):
        counters.take([scope(f"user:{number}", requests_per_minute=1)], hold=False)
    assert len(counters) == 4
    assert counters.refusal([scope(requests_per_minute=1)], DAY_LEFT) is not None
    assert counters.refusal([scope("user:busy", at_once=1)], DAY_LEFT) is not None
    assert counters.refusal([scope("user:999", requests_per_minute=1)], DAY_LEFT) is not None
    assert counters.refusal([scope("user:0", requests_per_minute=1)], DAY_LEFT) is None


def test_memory_follows_the_requests_of_a_minute() -> None:
    """A user whose minute is over is forgotten, unless tokens of the day or a request under way are to be known."""
    clock = Clock()
    counters = Counters(clock=clock)
    counters.turn("2027-01-31")
    for number in range(500):
        counters.take([scope(f"user:{number}", requests_per_minute=9)] * 3, hold=False)
        clock.now += 1.0
    assert len(counters) == len(counters._recent) == 60
    counters.spend("user:499", 5, user=True)
    counters.take([scope("user:busy", at_once=1, requests_per_minute=9)], hold=True)
    clock.now += 60.0
    counters.take([scope("user:last", requests_per_minute=9)], hold=False)
    assert set(counters._users) == {"user:499", "user:busy", "user:last"}
    assert sum(len(counter.admitted) for counter in counters._users.values()) == 1


def test_a_site_with_a_large_limit_remembers_a_minute_too() -> None:
    """Not as many admissions as its limit allows."""
    clock = Clock()
    counters = Counters(clock=clock)
    for _ in range(500):
        counters.refusal([scope(requests_per_minute=10**7)], DAY_LEFT)
        counters.take([scope(requests_per_minute=10**7)], hold=False)
        clock.now += 1.0
    assert len(counters._fixed["site"].admitted) == 60


def test_the_refusal_of_another_place_is_remembered_until_its_end() -> None:
    """A herd over a shared limit is refused here; a list of requests is looked at anew."""
    clock = Clock()
    counters = Counters(clock=clock)
    limited = scope(requests_per_minute=5)
    counters.take([limited] * 5, hold=False)
    refusal = counters.refusal([limited], DAY_LEFT)
    assert refusal is not None
    other = Counters(clock=clock)
    other.refused(refusal)
    clock.now += 20
    again = other.refusal([limited], DAY_LEFT)
    assert again is not None
    assert again.seconds == 40
    assert other.refusal([scope(count=3, requests_per_minute=5)], DAY_LEFT) is None
    other.forget_refusals()
    assert other.refusal([limited], DAY_LEFT) is None


def test_a_stores_refusal_of_a_day_ends_with_the_day() -> None:
    """However early the day ends by the clock on the wall: the machine slept, or its clock was set."""
    clock = Clock()
    counters = Counters(clock=clock)
    counters.turn("2027-01-31")
    minute, daily = scope("site", requests_per_minute=1), scope("user:7", tokens_per_day=10)
    counters.refused(Refusal(minute, "requests_per_minute", 30.0))
    counters.refused(Refusal(daily, "tokens_per_day", DAY_LEFT))
    counters.turn("2027-02-01")
    assert counters.refusal([daily], DAY_LEFT) is None
    assert counters.refusal([minute], DAY_LEFT) is not None


def test_unsaved_tokens_are_those_that_a_ledger_wants() -> None:
    """Without one none are held; a ledger's total and what came since are the day's number."""
    counters = Counters(clock=Clock())
    counters.turn("2027-01-31")
    counters.spend("site", 5, user=False)
    assert counters.unsaved == {}
    counters.saves = True
    counters.spend("site", 7, user=False)
    assert counters.unsaved == {"site": 7}
    counters.taken_over("2027-01-31", {"site": 100})
    counters.taken_over("2027-01-30", {"site": 1})
    assert counters.refusal([scope(tokens_per_day=107)], DAY_LEFT) is not None
    assert counters.refusal([scope(tokens_per_day=108)], DAY_LEFT) is None
