"""Plan of a rehearsal: when each user arrives, and which page each click is about. Pure; a seed repeats it."""

import random
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

MOST_USERS: Final = 10_000
MOST_CLICKS: Final = 50_000
"""Bound of all clicks together, which are held in memory until the end."""
LONGEST_PAGE: Final = 200_000
"""Bound of a page's text, in characters."""
COMMON: Final = 0
"""Number of the page that the class has in common."""

Route = Literal["ai", "v1"]
Seconds = Annotated[float, Meta(ge=0)]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Size and habits of a class. Times are in seconds."""

    users: Annotated[int, Meta(ge=1, le=MOST_USERS)] = 300
    within: Seconds = 60.0
    """Window in which every user arrives, uniformly at random."""
    clicks: Annotated[int, Meta(ge=1)] = 1
    """Clicks of each user."""
    think: Seconds = 0.0
    """Pause of a user between an answer and the next click."""
    same_page: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """Share of the clicks that are about the common page; each of the others is about a page of its own."""
    patience: Annotated[float, Meta(gt=0)] = 30.0
    """PHP's own time limit, after which a caller gives up."""
    length: Annotated[int, Meta(ge=1, le=LONGEST_PAGE)] = 3000
    """Characters of a page."""
    route: Route = "ai"
    seed: int = 0

    @property
    def total(self) -> int:
        """Clicks of all users."""
        return self.users * self.clicks


class User(NamedTuple):
    """One pupil."""

    number: int
    arrival: float
    """Seconds after the start."""
    pages: tuple[int, ...]
    """Page of each click; `COMMON` for the one that all share."""


def users_of(plan: Plan) -> list[User]:
    """Return the users of a plan, in the order of their arrival."""
    dice = random.Random(plan.seed)  # noqa: S311 - rehearsals must repeat, and no secret depends on it
    users = []
    for number in range(plan.users):
        arrival = dice.random() * plan.within
        first = COMMON + 1 + number * plan.clicks
        pages = tuple(COMMON if dice.random() < plan.same_page else first + click for click in range(plan.clicks))
        users.append(User(number, arrival, pages))
    return sorted(users, key=lambda user: user.arrival)


def calls_needed(users: list[User]) -> int:
    """Return the provider calls that the class needs if every page is summarized once.

    A user who repeats a click on the common page gets a new answer, which others may share.
    """
    own = {page for user in users for page in user.pages} - {COMMON}
    return len(own) + max((user.pages.count(COMMON) for user in users), default=0)
