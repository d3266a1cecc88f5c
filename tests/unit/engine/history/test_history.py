"""Promises of the history: a tick a second, an hour in samples, and a snapshot of numbers alone."""

import asyncio
import json
import time
from typing import Any

import msgspec

from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.observations import RequestEnd
from sidecar.engine.history.history import History
from sidecar.engine.history.refused_users import MOST_USERS, SLICE_SECONDS, SLICES, RefusedUsers
from sidecar.engine.history.ring import COLUMNS
from sidecar.engine.history.snapshot import Snapshot
from sidecar.engine.service import Service
from sidecar.engine.statistics import Statistics
from sidecar.jobs.monitor import JobsStatus
from tests.support.clocks import Clock
from tests.support.engines import service_over
from tests.support.held_provider import HeldUpstream
from tests.support.virtual_time import in_virtual_time

NOON = 1_800_014_400.0


class Scene:
    """A service, its history, and a wall clock that goes with the loop's."""

    def __init__(self, jobs: Any = None, *, start: float = NOON) -> None:
        self.loop = asyncio.get_running_loop()
        self._apart = start - self.loop.time()
        self.service: Service = service_over(HeldUpstream())
        self.history = History(self.service, jobs=jobs, wall=lambda: self.loop.time() + self._apart)

    @property
    def statistics(self) -> Statistics:
        return self.service.log.statistics

    async def tick(self, *ends: RequestEnd, times: int = 1) -> Snapshot:
        """Let these requests end in each of so many seconds."""
        for _ in range(times):
            for end in ends:
                self.service.log.observers.request_ended(end)
            await asyncio.sleep(1)
            self.history.tick()
        return self.history.snapshot()


def ended(code: str = "ok", **fields: Any) -> RequestEnd:
    return RequestEnd(**{"request_id": "r", "route": "ai", "code": code, "action": "chat"} | fields)


SHED = ended("overloaded", shed="late", user="17", token="arts")


@in_virtual_time
async def test_rates_are_of_the_last_ten_seconds() -> None:
    """Before ten seconds have passed, of those that there were."""
    scene = Scene()
    assert (await scene.tick(ended(), ended(), times=4)).rates.answered == 2.0
    assert (await scene.tick(times=5)).rates.answered == 0.89
    assert (await scene.tick(SHED, times=10)).rates == msgspec.convert(
        {"answered": 0.0, "shared": 0.0, "refused": 1.0, "failed": 0.0, "left": 0.0},
        type(scene.history.snapshot().rates),
    )


@in_virtual_time
async def test_every_fifth_second_is_a_sample_of_the_hour() -> None:
    """Seconds for five minutes, fives for an hour, and no more than that in memory."""
    scene = Scene()
    snapshot = await scene.tick(ended(), ended(), times=4)
    assert snapshot.sample is None
    snapshot = await scene.tick(ended(), ended(), ended())
    assert snapshot.sample is not None
    assert (snapshot.sample["answered"], snapshot.second["answered"]) == (2.2, 3.0)
    assert snapshot.second["at"] == snapshot.sample["at"] == NOON + 5
    await scene.tick(times=4000)
    past = scene.history.past()
    assert (len(past.seconds["at"]), len(past.hour["at"])) == (300, 720)
    assert past.hour["at"][-1] == NOON + 4005
    assert past.hour["at"][0] == NOON + 4005 - 719 * 5


@in_virtual_time
async def test_a_stalled_second_is_no_burst() -> None:
    """Rates are by the time that passed, and a sample says when it was taken."""
    scene = Scene()
    await scene.tick()
    for _ in range(30):
        scene.service.log.observers.request_ended(ended())
    await asyncio.sleep(9)
    snapshot = await scene.tick()
    assert snapshot.second["answered"] == 3.0


@in_virtual_time
async def test_waits_are_the_last_minutes() -> None:
    """As quantiles; later there is none."""
    scene = Scene()
    snapshot = await scene.tick(*[ended(calls=1, queued=3.5)] * 20)
    assert snapshot.wait.p50 == 3.5
    assert snapshot.latency.p95 is None
    assert (await scene.tick(times=60)).wait.p50 is None


@in_virtual_time
async def test_who_is_refused_and_why() -> None:
    """By cause, route and token, the most frequent first; users as hashes that differ from start to start."""
    first, second = Scene(), Scene()
    for scene in (first, second):
        snapshot = await scene.tick(SHED, SHED, ended("timeout", user="18"), ended("unauthorized", route="openai"))
    assert [(row.cause, row.route, row.token, row.kind, row.count) for row in snapshot.refused] == [
        ("late", "ai", "arts", "refused", 2),
        ("timeout", "ai", "", "failed", 1),
        ("unauthorized", "openai", "", "caller", 1),
    ]
    assert snapshot.affected == 2
    assert [user.count for user in snapshot.users] == [2, 1]
    assert first.history.snapshot().users[0].id != snapshot.users[0].id
    snapshot = await second.tick(times=61)
    assert (snapshot.refused, snapshot.users, snapshot.affected) == ([], [], 0)


@in_virtual_time
async def test_what_has_no_row_is_counted() -> None:
    """A hundred tokens over their limit fill the page with the worst twenty, and the rest is not silent."""
    scene = Scene()
    ends = [ended("limited", token=f"t{number}") for number in range(100) for _ in range(1 + (number == 50))]
    snapshot = await scene.tick(*ends)
    assert (len(snapshot.refused), snapshot.refused[0].token, snapshot.unlisted) == (20, "t50", 101 - 21)


@in_virtual_time
async def test_tokens_count_from_midnight() -> None:
    """Or from the start, where that was later; the machine's own midnight."""
    local = time.localtime(NOON)
    midnight = NOON + 86_400 - (local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec)
    scene = Scene(start=midnight - 10)
    tokens = (await scene.tick(ended(prompt_tokens=7, completion_tokens=2))).tokens
    assert (tokens.since, tokens.prompt, tokens.completion, tokens.actions) == (midnight - 10, 7, 2, {"chat": 9})
    await scene.tick(times=10)
    tokens = (await scene.tick(ended(prompt_tokens=5))).tokens
    assert (tokens.since, tokens.prompt, tokens.completion, tokens.actions) == (midnight, 5, 0, {"chat": 5})


@in_virtual_time
async def test_a_provider_that_is_down_is_named_by_its_code() -> None:
    """Never by words of the provider, which may quote a text."""
    scene = Scene()
    breaker = scene.service.kernel.calls.pool.providers[0].limit.breaker
    for _ in range(5):
        breaker.failed(UpstreamUnreachable("no route to canary"), scene.loop.time())
    snapshot = await scene.tick()
    assert snapshot.providers[0].down == "upstream_unreachable"
    assert [one.check for one in snapshot.advice] == ["provider"]
    assert b"canary" not in msgspec.json.encode(snapshot)


@in_virtual_time
async def test_jobs_are_sampled_by_lane() -> None:
    """And shown as /status has them."""
    scene = Scene(jobs=lambda: JobsStatus("up", "", 2, {"day": 3, "night": 40}))
    snapshot = await scene.tick()
    assert (snapshot.second["jobs_day"], snapshot.second["jobs_night"]) == (3, 40)
    assert json.loads(msgspec.json.encode(snapshot))["status"]["jobs"]["workers"] == 2


@in_virtual_time
async def test_a_second_has_all_columns_and_no_other() -> None:
    """But for those of refusals and jobs, which are there when they happen."""
    scene = Scene(jobs=lambda: JobsStatus("up", "", 2, {"day": 3, "night": 40}))
    causes = ("places", "bytes", "late", "pause", "breaker", "jobs", "limited")
    ends = [ended("overloaded", shed=cause) for cause in causes]
    snapshot = await scene.tick(ended(prompt_tokens=1, completion_tokens=1), *ends)
    assert set(snapshot.second) == {"at", *COLUMNS}


def test_users_are_bounded() -> None:
    """A site of ten thousand users costs no more than one of five hundred."""
    users = RefusedUsers()
    for number in range(2 * MOST_USERS):
        users.request_ended(ended("overloaded", user=str(number)))
    assert len(users.minute()) == MOST_USERS
    for _ in range(SLICE_SECONDS * SLICES):
        users.tick()
    assert not users.minute()


def test_answers_and_leavers_name_nobody() -> None:
    """Nor requests that were refused before their user was read."""
    users = RefusedUsers()
    for end in (ended(user="17"), ended("cancelled", user="17"), ended("overloaded")):
        users.request_ended(end)
    assert not users.minute()


def test_a_wall_clock_that_is_set_back_breaks_nothing() -> None:
    """Rates are by the monotonic clock."""
    wall = Clock()

    async def scene() -> None:
        history = History(service_over(HeldUpstream()), wall=wall)
        wall.now -= 500
        history.tick()
        assert history.snapshot().at == 500

    asyncio.run(scene())
