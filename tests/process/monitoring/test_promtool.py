"""What Prometheus' own tool says of the shipped files, and of the page: it is the reader that they are for."""

import subprocess

import pytest

from sidecar.metrics.exposition import server_exposition
from sidecar.service import service_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.paths import ROOT
from tests.support.prometheus import PROMTOOL, needs_prometheus

pytestmark = needs_prometheus


def promtool(*words: str, stdin: bytes = b"") -> str:
    """Return what the tool says, in one text; fail where it finds a fault."""
    done = subprocess.run([PROMTOOL, *words], cwd=ROOT, input=stdin, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "--lint-fatal", "deploy/alerts.yml"),
        ("check", "config", "--lint-fatal", "deploy/prometheus.yml"),
        ("test", "rules", "tests/prometheus/alerts_test.yml"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_the_shipped_files_are_right(words: tuple[str, ...]) -> None:
    """Rules and configuration can be read, and the alerts fire and end when they should."""
    assert "SUCCESS" in promtool(*words)


async def test_the_page_follows_prometheus_customs() -> None:
    """Names, kinds and help of every metric."""
    metrics = server_exposition(service_of(settings_of(), HeldUpstream()), client="aiohttp")
    assert promtool("check", "metrics", stdin=(await metrics.page(""))[1]) == ""
