"""Exposition: the page of a scrape, in Prometheus' text format or in OpenMetrics, made at the scrape.

prometheus_client is imported at the first scrape, in a thread.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from sidecar.core.jobs import Lane
from sidecar.engine.service import Service
from sidecar.metrics import families
from sidecar.metrics.process import process_readings
from sidecar.metrics.readings import (
    JobsNumbers,
    LaneNumbers,
    Reading,
    build_reading,
    engine_readings,
    jobs_readings,
    lane_readings,
)
from sidecar.runtime.daemon_thread import in_daemon_thread

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Render = Callable[[list[Reading], bool, bool], bytes]
_REFUSED: Final = re.compile(r"q\s*=\s*0(\.0*)?\s*")


class Exposition:
    """Page of one process; `readings` yields its numbers of the moment."""

    def __init__(self, readings: Callable[[], Iterator[Reading]], *, client: str) -> None:
        self._readings = readings
        self._build = build_reading(client)
        self._connections: Callable[[], int] | None = None
        self._children: Callable[[], Sequence[int]] = tuple
        self._render: Render | None = None

    def count_connections(self, count: Callable[[], int]) -> None:
        """Publish the number of open connections that `count` returns."""
        self._connections = count

    def count_children(self, children: Callable[[], Sequence[int]]) -> None:
        """Count the processes whose ids `children` returns with this one."""
        self._children = children

    async def page(self, accept: str, *, exemplars: bool = False) -> tuple[str, bytes]:
        """Return content type and body for the header `accept`; `exemplars` shows request ids, in OpenMetrics only."""
        if self._render is None:
            self._render = await in_daemon_thread(_load, "metrics", (ImportError,))
        openmetrics = wants_openmetrics(accept)
        body = self._render(list(self._now()), openmetrics, exemplars)
        return OPENMETRICS if openmetrics else TEXT, body

    def _now(self) -> Iterator[Reading]:
        yield from self._readings()
        if self._connections is not None:
            yield Reading(families.CONNECTIONS, (), self._connections())
        yield self._build
        yield from process_readings(self._children())


def _load() -> Render:
    from sidecar.metrics.collector import render  # noqa: PLC0415 - late, and off the event loop

    return render


def wants_openmetrics(accept: str) -> bool:
    """Return whether the header `accept` names OpenMetrics. Its one version here is 1.0.0, which later ones contain.

    Written out because `choose_encoder` of prometheus_client 0.26 fails for a version that is no number.
    """
    for part in accept.lower().split(","):
        kind, *parameters = part.split(";")
        if kind.strip() == "application/openmetrics-text":
            return not any(_REFUSED.fullmatch(parameter.strip()) for parameter in parameters)
    return False


def server_exposition(service: Service, jobs: Callable[[], JobsNumbers] | None = None, *, client: str) -> Exposition:
    """Return the page of a server; `jobs` returns the numbers of jobs, None without jobs."""

    def readings() -> Iterator[Reading]:
        yield from engine_readings(service)
        if jobs is not None:
            yield from jobs_readings(jobs())

    return Exposition(readings, client=client)


def worker_exposition(lanes: Mapping[Lane, LaneNumbers], *, redis_up: Callable[[], bool], client: str) -> Exposition:
    """Return the page of a worker; the series of its engines have the label `lane`."""

    def readings() -> Iterator[Reading]:
        for lane, numbers in lanes.items():
            yield from lane_readings(lane, numbers)
        yield Reading(families.REDIS_UP, (), redis_up())

    return Exposition(readings, client=client)
