"""Promises of a server that runs for long: flat under mixed load with faults, and nothing left at rest."""

import pytest

from tests.support.scale import scaled
from tests.support.soak.report import Report, Sample, left_over, slope, trends
from tests.support.soak.run import soak

CONNECTIONS = 40.0
"""Connections to two providers of 16 slots, and to Redis: open for some seconds more."""
STEADY = {"memory MiB": 70.0, "descriptors": 40.0, "tasks": 20.0, "threads": 5.0, "series": 400.0, "objects": 70_000.0}


@pytest.mark.long(alone=True, first=True)
async def test_mixed_load_with_faults_leaves_nothing_behind() -> None:
    """Every caller has an answer, no metric grows by callers' names; memory, threads and series are flat at all times.

    Callers of every kind at every address, two providers with changing faults, SIGHUPs, jobs in a worker. What moves
    with the load is compared at rest; benchmarks/bench_soak.py has the bounds of an hour.
    """
    report = await soak(min(60, scaled(5, 600)), rate=30, slack=CONNECTIONS)
    assert not report.broken, str(report.broken)
    assert not report.left_over, f"{report.left_over}, {report.tasks}"
    assert not [words for words in report.growing if any(name in words for name in ("memory", "threads", "series"))]
    assert report.outcomes["ai", "ok"] > 5


def report_of(*moments: dict[str, float]) -> Report:
    report = Report()
    report.samples["server"] = [Sample(60.0 * at, STEADY | numbers) for at, numbers in enumerate(moments)]
    return report


def test_steady_numbers_are_flat() -> None:
    """Whatever moves around the same value."""
    report = report_of(*({"memory MiB": 70.0 + n % 2, "tasks": 20.0 + n % 5} for n in range(40)))
    assert report.growing == []


@pytest.mark.parametrize("name", list(STEADY))
def test_each_number_that_grows_is_found(name: str) -> None:
    """By name, with its first and last quarter."""
    report = report_of(*({name: STEADY[name] * (1 + n / 5)} for n in range(40)))
    [found] = [words for words in report.growing if name in words]
    assert found.startswith(f"server: {name} from ")
    assert slope([(0.0, 1.0), (1800.0, 2.0)]) == pytest.approx(2.0)


def test_what_is_left_at_rest_is_found() -> None:
    """Beyond the slack, and also where a process is gone."""
    assert left_over({"server": STEADY}, {"server": STEADY | {"tasks": 24.0}}, slack=0) == []
    assert left_over({"server": STEADY}, {"server": STEADY | {"tasks": 40.0}}, slack=0) == [
        "server: tasks at rest 20 before, 40 after"
    ]
    assert left_over({"worker": STEADY}, {}, slack=0)[0] == "worker: gone"
    assert trends([]) == []
