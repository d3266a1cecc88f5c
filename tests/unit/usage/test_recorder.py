"""Promises of the usage recorder: what is counted under which key, and the bounds."""

import logging
from typing import Any

import pytest

from sidecar.core.observations import RequestEnd
from sidecar.usage.counts import Counts, Key
from sidecar.usage.recorder import Recorder

HOUR = 1_700_000_000 // 3600 * 3600


def end(code: str = "ok", **more: Any) -> RequestEnd:
    return RequestEnd(**({"request_id": "r", "route": "ai", "action": "chat", "code": code} | more))


def recorder(**more: Any) -> Recorder:
    return Recorder(**({"clock": lambda: HOUR + 1800.5} | more))


def key(**more: Any) -> Key:
    found: dict[str, Any] = {
        "hour": HOUR,
        "action": "chat",
        "route": "ai",
        "token": "",
        "provider": "",
        "code": "ok",
        "user": "",
    }
    return Key(**(found | more))


def test_requests_of_one_key_are_summed_up() -> None:
    """Calls and tokens with them; what differs in a name has a row of its own."""
    usage = recorder()
    usage.request_ended(end(calls=2, prompt_tokens=10, completion_tokens=3))
    usage.request_ended(end(calls=1, prompt_tokens=5, completion_tokens=1))
    usage.request_ended(end(shared="kept"))
    usage.request_ended(end(token="faculty", provider="big", calls=1))
    assert usage.take() == {
        key(): Counts(3, 0, 1, 3, 15, 4),
        key(token="faculty", provider="big"): Counts(1, 0, 0, 1, 0, 0),
    }
    assert usage.take() == {}


@pytest.mark.parametrize(
    ("ended", "refused"),
    [
        (end("overloaded", shed="late"), 1),
        (end("invalid_json", action=""), 1),
        (end("timeout", calls=1), 0),
        (end("timeout"), 0),
        (end("cancelled", action=""), 0),
        (end("ok", action=""), 0),
    ],
)
def test_refused_are_those_turned_away_at_the_start(ended: RequestEnd, refused: int) -> None:
    """Neither a failure after the wait, nor a caller that left."""
    usage = recorder()
    usage.request_ended(ended)
    assert [counts.refused for counts in usage.take().values()] == [refused]


def test_users_are_counted_only_where_that_was_set() -> None:
    """And then by their pseudonym; a request without a user has none."""
    for pseudonym, users in ((None, {""}), (str.upper, {"ANNA", ""})):
        usage = recorder(pseudonym=pseudonym)
        for user in ("anna", ""):
            usage.request_ended(end(user=user))
        assert {found.user for found in usage.take()} == users


def test_an_hour_has_so_many_users_at_most() -> None:
    """A caller that makes up users cannot fill the disk; the next hour begins anew."""
    now = float(HOUR)
    usage = recorder(pseudonym=str, most_users=2, clock=lambda: now)
    for user in ("a", "b", "c", "d", "a"):
        usage.request_ended(end(user=user))
    assert {found.user: counts.requests for found, counts in usage.take().items()} == {"a": 2, "b": 1, "others": 2}
    now += 3600
    usage.request_ended(end(user="c"))
    assert list(usage.take()) == [key(hour=HOUR + 3600, user="c")]


def test_what_could_not_be_written_is_counted_again() -> None:
    """With what came meanwhile."""
    usage = recorder()
    usage.request_ended(end())
    usage.request_ended(end("timeout"))
    batch = usage.take()
    usage.request_ended(end())
    usage.give_back(batch)
    assert {found.code: counts.requests for found, counts in usage.take().items()} == {"ok": 2, "timeout": 1}


def test_memory_is_bounded_while_the_file_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """New keys are dropped, with one line in the log; keys that are there count on."""
    caplog.set_level(logging.WARNING, "sidecar")
    usage = recorder(most_keys=1)
    for code in ("ok", "timeout", "timeout", "ok"):
        usage.request_ended(end(code))
    batch = usage.take()
    assert [counts.requests for counts in batch.values()] == [2]
    usage.request_ended(end("timeout"))  # while the file takes its time
    usage.give_back(batch)
    usage.request_ended(end("timeout"))
    usage.request_ended(end())
    assert [counts.requests for counts in usage.take().values()] == [3]
    assert [record.msg for record in caplog.records] == ["usage_dropped"]
    assert (usage.written(), usage.written()) == (4, 0)
