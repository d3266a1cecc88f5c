"""The documents and files of monitoring, held against the metrics that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.metrics.families import FAMILIES, LANE
from tests.support.paths import ROOT

DOCUMENT = (ROOT / "docs/monitoring.md").read_text("utf-8")
ALERTS = (ROOT / "deploy/alerts.yml").read_text("utf-8")
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_bytes())
NAMES = {family.name for family in FAMILIES} | {
    family.name + ending
    for family in FAMILIES
    if family.kind == "histogram"
    for ending in ("_bucket", "_sum", "_count")
}
LABELS = {label for family in FAMILIES for label in family.labels} | {LANE, "le", "job", "instance"}


def dashboard_expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:sidecar|process)_[a-z_]+\b", text))


def test_the_table_has_every_metric() -> None:
    """Name, kind, labels and meaning, in the order of the page."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |"
        for family in FAMILIES
    ]
    table = DOCUMENT.partition("<!-- metrics -->")[2].partition("<!-- /metrics -->")[0]
    assert table.strip().splitlines()[2:] == rows


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("dashboard", "\n".join(dashboard_expressions())),
        ("alerts", ALERTS),
        ("document", DOCUMENT),
        ("alerts' test", (ROOT / "tests/prometheus/alerts_test.yml").read_text("utf-8")),
    ],
)
def test_every_name_in_use_exists(where: str, text: str) -> None:
    """A renamed metric leaves no empty panel and no alert that cannot fire."""
    assert names_in(text), where
    assert names_in(text) <= NAMES


@pytest.mark.parametrize("text", ["\n".join(dashboard_expressions()), ALERTS])
def test_every_label_in_use_exists(text: str) -> None:
    """Nor does a renamed label."""
    used = set(re.findall(r"[{,]\s*([a-z_]+)=~?\"", text))
    for listed in re.findall(r"\b(?:by|on) \(([a-z, ]+)\)", text):
        used |= set(listed.replace(" ", "").split(","))
    assert used
    assert used <= LABELS


def test_the_dashboard_shows_every_metric_that_moves() -> None:
    """What is published is worth a look; the rest is for alerts and for searches by hand."""
    unseen = {"sidecar_body_bytes_held", "sidecar_body_bytes_limit", "sidecar_draining", "sidecar_flights"}
    unseen |= {"sidecar_joined_total", "sidecar_cache_hits_total", "sidecar_cache_answers", "sidecar_build_info"}
    unseen |= {"sidecar_provider_ceiling", "sidecar_provider_limit_fact"}
    unseen |= {"process_start_time_seconds", "process_max_fds"}
    shown = names_in("\n".join(dashboard_expressions()))
    missing = {family.name for family in FAMILIES if not {family.name, f"{family.name}_bucket"} & shown}
    assert missing == unseen


def test_panels_and_targets_are_told_apart() -> None:
    """Grafana keys panels by id and targets by letter; no two panels lie on each other."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in covered(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    for panel in panels:
        assert len({target["refId"] for target in panel.get("targets", ())}) == len(panel.get("targets", ()))
        assert panel["type"] == "row" or panel["description"]


def covered(place: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_every_alert_has_its_runbook() -> None:
    """A heading of its own in the document, which the alert's link names."""
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    links = re.findall(r"runbook_url: (\S+)", ALERTS)
    headings = re.findall(r"^### (\w+)$", DOCUMENT, re.MULTILINE)
    assert alerts == headings
    assert links == [f"docs/monitoring.md#{alert.lower()}" for alert in alerts]
    assert Path(ROOT, links[0].partition("#")[0]).is_file()


def test_every_alert_fires_once_in_its_test() -> None:
    """`tests/process/monitoring` has promtool play them: an alert that nobody saw fire may never do."""
    played = (ROOT / "tests/prometheus/alerts_test.yml").read_text("utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", played))
    assert fired == set(re.findall(r"- alert: (\w+)", ALERTS))
