"""A page of metrics as Prometheus' own parsers read it. No promises here."""

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from tests.support.http_sidecar import head


def scrape(*headers: str, path: str = "/metrics", openmetrics: bool = False) -> bytes:
    """Return the request of a scrape."""
    accept = ("Accept: application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5",)
    return head(*headers, *(accept if openmetrics else ()), path=path, method="GET")


class Page(NamedTuple):
    """The metrics of one scrape."""

    metrics: list[Metric]

    @classmethod
    def of(cls, body: bytes, *, openmetrics: bool = False) -> "Page":
        read = read_openmetrics if openmetrics else read_text
        return cls(list(read(body.decode())))

    @property
    def samples(self) -> list[Sample]:
        return [sample for metric in self.metrics for sample in metric.samples]

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the series with this name and these labels, among others."""
        return float(sum(sample.value for sample in self.samples if sample.name == name and _has(sample, labels)))

    def series(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        """Return the series by name and labels."""
        return {(sample.name, tuple(sorted(sample.labels.items()))) for sample in self.samples}


def _has(sample: Sample, labels: Mapping[str, str]) -> bool:
    return labels.items() <= sample.labels.items()
