"""No request is lost, answered twice or mixed up, whatever goes wrong at once."""

import pytest

from tests.support.chaos import run
from tests.support.scale import scaled


@pytest.mark.long
@pytest.mark.parametrize("seed", range(scaled(1, 20)))
async def test_no_request_is_lost_or_answered_twice(seed: int) -> None:
    """Faults of every kind, callers who leave, a process that is stopped and goes on, and a drain, mixed by a seed."""
    report = await run(seed, requests=300, seconds=3.0)
    assert not report.broken, str(report)
    assert report.codes["ok"] > 20
