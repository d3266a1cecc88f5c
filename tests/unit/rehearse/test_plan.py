"""Promises of the plan: who comes when, and about which page; the same seed is the same class."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.rehearse.pages import request_of, text_of
from sidecar.rehearse.plan import COMMON, Plan, calls_needed, users_of

PLANS = st.builds(
    Plan,
    users=st.integers(1, 60),
    clicks=st.integers(1, 5),
    within=st.floats(0, 100),
    same_page=st.floats(0, 1),
    seed=st.integers(0, 9),
)


@given(PLANS)
def test_every_user_comes_once_and_in_time(plan: Plan) -> None:
    """All users, in the order of their arrival, none outside the window; each has all clicks."""
    users = users_of(plan)
    assert sorted(user.number for user in users) == list(range(plan.users))
    assert [user.arrival for user in users] == sorted(user.arrival for user in users)
    assert all(0 <= user.arrival <= plan.within and len(user.pages) == plan.clicks for user in users)


@given(PLANS)
def test_a_seed_repeats_the_class(plan: Plan) -> None:
    """Neither arrivals nor pages change between two runs."""
    assert users_of(plan) == users_of(plan)


@given(PLANS)
def test_only_the_common_page_is_shared(plan: Plan) -> None:
    """A page of its own is in one click; so the calls needed lie between one and all."""
    users = users_of(plan)
    own = [page for user in users for page in user.pages if page != COMMON]
    assert len(own) == len(set(own))
    assert 1 <= calls_needed(users) <= plan.total


def test_arrivals_are_spread_over_the_window() -> None:
    """Each quarter of the window has its share."""
    users = users_of(Plan(users=4000, within=40))
    quarters = [sum(10 * n <= user.arrival < 10 * (n + 1) for user in users) for n in range(4)]
    assert all(900 < count < 1100 for count in quarters)


def test_the_share_of_the_common_page_is_met() -> None:
    """None, all, and about seven of ten."""
    common = [
        sum(user.pages.count(COMMON) for user in users_of(Plan(users=2000, same_page=share))) for share in (0, 1, 0.7)
    ]
    assert common[:2] == [0, 2000]
    assert 1300 < common[2] < 1500


def test_a_class_on_one_page_needs_one_call_for_each_repeat() -> None:
    """The same user's next click gets a new answer, which the others share."""
    assert calls_needed(users_of(Plan(users=50, same_page=1))) == 1
    assert calls_needed(users_of(Plan(users=50, same_page=1, clicks=3))) == 3


@given(st.integers(0, 50_000), st.integers(100, 5000))
def test_a_text_has_its_length_and_no_twin(page: int, length: int) -> None:
    """Pages differ from one another and from the same page of another run, and give the demo provider no orders."""
    text = text_of(page, "aaaaaaaa", length)
    assert length - 2 <= len(text) <= length
    assert text != text_of(page + 1, "aaaaaaaa", length)
    assert text != text_of(page, "bbbbbbbb", length)
    assert "[demo" not in text


def test_a_request_is_in_the_shape_of_its_route() -> None:
    """As the plugin sends it, and as Moodle's own subsystem does."""
    [user] = users_of(Plan(users=1))
    assert b'"action":"summarize"' in request_of(Plan(), user, 0, "m")
    assert b'"messages":[' in request_of(Plan(route="v1"), user, 0, "m")
