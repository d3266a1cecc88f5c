"""Examples of the jobs' state machine: how many, and which."""

from functools import partial
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.job_machine import JobMachine
from tests.support.job_redis import JobRedis
from tests.support.scale import scaled

MORE: Final = scaled(1, 30)
"""Times as many examples, each run with others."""


def examples(number: int) -> settings:
    """`number` examples, always the same ones, unless TEST_SCALE wants more."""
    return settings(
        max_examples=number * MORE,
        stateful_step_count=50,
        derandomize=MORE == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def run_machine(redis: JobRedis, number: int) -> None:
    """Run `number` examples over one Redis."""
    machine: Any = partial(JobMachine, redis)
    run_state_machine_as_test(machine, settings=examples(number))
