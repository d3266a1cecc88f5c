"""Promises of workers that are killed: nothing is lost, and nothing that was stored is paid for twice."""

from tests.support.job_crashes import killed_workers


async def test_killed_workers_lose_nothing() -> None:
    """Two workers, killed at moments of chance and started again: every job ends well, once, with its own answer."""
    toll = await killed_workers(150, kills=6)
    assert not toll.broken, str(toll)
