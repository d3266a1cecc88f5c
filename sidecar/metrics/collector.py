"""Collector: readings as prometheus_client's metrics, in a registry of our own. Imported at the first scrape."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_format
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar, Sample

from sidecar.engine.statistics import SECONDS, Histogram
from sidecar.engine.statistics import Exemplar as LastRequest
from sidecar.metrics.families import FAMILIES, LANE, Family
from sidecar.metrics.readings import Reading

_openmetrics: Final[Callable[[CollectorRegistry], bytes]] = openmetrics_format.generate_latest
BOUNDS: Final = (*(str(float(bound)) for bound in SECONDS), "+Inf")
"""Values of the label `le`."""
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,118}")
"""Request ids fit for an exemplar: OpenMetrics allows 128 characters together with the label's name, and the client
checks neither length nor content."""


class ReadingsCollector(Collector):
    """Collector of the readings of one moment; `exemplars` adds the request ids of histograms."""

    def __init__(self, readings: Iterable[Reading], *, exemplars: bool) -> None:
        self._readings = readings
        self._exemplars = exemplars

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that have a value, in the order of `FAMILIES`."""
        found: dict[str, list[Reading]] = {}
        for reading in self._readings:
            found.setdefault(reading.family.name, []).append(reading)
        for family in FAMILIES:
            if readings := found.get(family.name):
                yield self._metric(family, readings)

    def _metric(self, family: Family, readings: list[Reading]) -> Metric:
        metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
        for reading in readings:
            labels = dict(zip(family.labels, reading.values, strict=True))
            if reading.lane:
                labels[LANE] = reading.lane
            if isinstance(reading.value, Histogram):
                metric.samples += self._buckets(family.name, labels, reading.value)
            else:
                metric.samples.append(Sample(family.name, labels, float(reading.value)))
        return metric

    def _buckets(self, name: str, labels: dict[str, str], histogram: Histogram) -> Iterator[Sample]:
        total = 0
        for bound, count, last in zip(BOUNDS, histogram.counts, histogram.exemplars, strict=True):
            total += count
            exemplar = _exemplar(last) if self._exemplars and last is not None else None
            yield Sample(f"{name}_bucket", {**labels, "le": bound}, total, None, exemplar)
        yield Sample(f"{name}_sum", labels, histogram.sum)
        yield Sample(f"{name}_count", labels, total)


def _exemplar(last: LastRequest) -> Exemplar | None:
    if not _ID.fullmatch(last.request_id):
        return None
    return Exemplar({"request_id": last.request_id}, last.value, round(last.at, 3))


def render(readings: list[Reading], openmetrics: bool, exemplars: bool) -> bytes:
    """Return the page of these readings."""
    registry = CollectorRegistry()
    registry.register(ReadingsCollector(readings, exemplars=openmetrics and exemplars))
    return _openmetrics(registry) if openmetrics else generate_latest(registry)
