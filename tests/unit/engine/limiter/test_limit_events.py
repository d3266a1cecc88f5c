"""What the limit found, in the log: with numbers, and never a line a call."""

import logging

import pytest

from sidecar.core.errors import RateLimited
from sidecar.engine.limiter.limit import Limit
from sidecar.engine.limiter.limit_events import LimitEvents
from tests.support.bursts import burst_of
from tests.support.clocks import Clock
from tests.support.worlds import scenes


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    kinds = {"limit_fell", "limit_rose", "paused"}
    return [(record.getMessage(), vars(record)["fields"]) for record in caplog.records if record.msg in kinds]


def test_a_fall_is_logged_with_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    """From what, to what, by what, and after how many refused calls."""
    clock = Clock()
    limit = Limit(ceiling=64, clock=clock)
    told = LimitEvents(limit)
    grants = [limit.grant(running) for running in range(64)]
    with caplog.at_level(logging.INFO, logger="sidecar"):
        for running in range(63, 15, -1):
            limit.failed(grants[running], RateLimited(scope="capacity"), running=running)
            told.log_changes(clock.now)
            clock.now += 0.03
    (first, second) = lines(caplog)
    assert first[0] == second[0] == "limit_fell"
    assert (first[1]["before"], first[1]["limit"], first[1]["refused"], first[1]["why"]) == (64, 48, 1, "refusals")
    assert (second[1]["before"], second[1]["limit"], second[1]["refused"]) == (48, 29, 34)


def test_a_silence_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """How long nothing is sent, once for each silence and second."""
    clock = Clock()
    limit = Limit(ceiling=64, clock=clock)
    told = LimitEvents(limit)
    with caplog.at_level(logging.INFO, logger="sidecar"):
        limit.failed(limit.grant(0), RateLimited(scope="capacity", retry_after=1.5), running=0)
        for _ in range(10):
            told.log_changes(clock.now)
            clock.now += 0.01
    paused = [fields for name, fields in lines(caplog) if name == "paused"]
    assert [fields["seconds"] for fields in paused] == [1.5]


@pytest.mark.parametrize(
    "name", ["16 slots, openai", "32 and 6 by turns", "bucket 60/5, no waits", "16 and 0 by turns"]
)
def test_a_burst_writes_few_lines(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Two a second at most, whatever the provider does."""
    with caplog.at_level(logging.INFO, logger="sidecar"):
        burst = burst_of(next(world for world in scenes() if world.name == name))
    told = lines(caplog)
    assert told
    assert len(told) <= 2 * burst.last
