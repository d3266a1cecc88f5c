"""Promises of jobs while everything is killed, and Redis filled: no accepted job is lost, and everybody hears why."""

import pytest

from tests.support.job_storm import storm
from tests.support.scale import scaled


@pytest.mark.long
async def test_no_job_is_lost_whatever_is_killed_and_however_full_redis_is() -> None:
    """Server, worker and Valkey, each killed at moments of chance, and again in a full Redis; then there is room."""
    one = await storm(scaled(20, 500), kills=scaled(2, 24), filled=True)
    assert not one.broken, one.broken[:5]
    assert any(sentence.startswith("Redis is full") for sentence in one.refusals)


@pytest.mark.long(alone=True)
async def test_no_job_is_lost_whatever_is_killed() -> None:
    """The same without a full Redis."""
    one = await storm(scaled(40, 500), kills=scaled(6, 60), filled=False)
    assert not one.broken, one.broken[:5]
