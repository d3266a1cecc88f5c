"""Promises of workers that are killed: nothing is lost, and nothing that was stored is paid for twice."""

import pytest

from tests.support.job_crashes import killed_workers
from tests.support.scale import scaled


@pytest.mark.long
async def test_killed_workers_lose_nothing() -> None:
    """Two workers, killed at moments of chance and started again: every job ends well, once, with its own answer."""
    toll = await killed_workers(scaled(60, 500), kills=scaled(3, 12))
    assert not toll.broken, str(toll)
