"""How tests are shared out to workers; and in CI a skipped test is a failure: what CI leaves out, nobody runs."""

import os
import signal
from collections.abc import Generator

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

ONE_SHOT = ("tests/process/stdio/", "tests/process/moodle/test_php", "tests/process/doctor/test_doctor_php")
"""Tests that start one-shot processes: the machine has sixteen places for all of them, so one runs at a time."""
SHARED = ("tests/unit/engine/limiter/test_worlds.py",)
"""Tests that share results in memory."""


# A property is no measure of time: on a busy machine examples come slowly.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


def pytest_configure() -> None:
    """Hear SIGINT, which `make test &` in a script ignores: the commands that tests start inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """One test at a time to each worker, except for groups. xdist 3.8's own groups have no effect in pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ONE_SHOT):
            return "one-shot"
        return next((path for path in SHARED if nodeid.startswith(path)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out long tests without a small form, unless a share of the long ones is wanted; begin with the longest."""
    wanted = float(os.environ.get("TEST_SCALE", "0"))
    left = [item for item in items if not wanted and any(m.kwargs.get("alone") for m in item.iter_markers("long"))]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    items.sort(key=lambda item: not any(mark.kwargs.get("first") for mark in item.iter_markers("long")))


if os.environ.get("CI"):

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.skipped and not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI takes for a failure: {report.longrepr}"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if report.skipped:
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI takes for a failure: {report.longrepr}"
        return report
