"""Promises of the scripts under any order of steps, in fakeredis: `JobInvariants` names them."""

import pytest

from tests.support.fake_job_redis import fake_redis
from tests.support.job_examples import run_machine


@pytest.mark.long
@pytest.mark.parametrize(("hours", "number"), [(2, 35), (30, 10)], ids=["short results", "results outlast records"])
def test_jobs_keep_their_promises_in_any_order_of_steps(hours: int, number: int) -> None:
    """Submitters, workers, crashes and time in any order: no job lost, none done twice, one owner, states forward."""
    with fake_redis(keep=hours * 3600) as redis:
        run_machine(redis, number)
