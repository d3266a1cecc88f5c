"""docs/privacy.md names every setting that keeps something of a request, or decides who sees it."""

import re

import pytest

from sidecar.config.setting import Setting
from sidecar.config.settings import SETTINGS
from sidecar.jobs.store import TEXT_SECONDS
from sidecar.jobs.worker.worker import ALIVE_SECONDS
from tests.support.paths import ROOT

DOC = (ROOT / "docs/privacy.md").read_text("utf-8")
KEEP_OR_SHOW = re.compile(r"_(FILE|DIR|URL|TTL|DAYS|USERS?|SECRET|PREFIX|LEVEL|BODY|MODEL|ID)$")
"""Endings of names of files, places, times, people and what a provider is sent."""
BY_NAME = {"QUEUE_SIZE", "QUEUE_BYTES", "CACHE_BYTES"}


def keeps(setting: Setting) -> bool:
    return setting.secret or setting.name in BY_NAME or KEEP_OR_SHOW.search(setting.name) is not None


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if keeps(setting)])
def test_a_setting_that_keeps_or_shows_something_is_named(name: str) -> None:
    """A new one is a new line there: what, where, for how long, and how to turn it off."""
    assert f"`{name}" in DOC


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CACHE_TTL", "`CACHE_TTL` (an hour)"),
        ("USAGE_DAYS", "`USAGE_DAYS` ({:g})"),
        ("JOB_RESULT_TTL", "`JOB_RESULT_TTL` (3 days)"),
    ],
)
def test_its_times_are_the_defaults(name: str, words: str) -> None:
    """Readers take them for their own site's."""
    [default] = [setting.default for setting in SETTINGS if setting.name == name]
    units = {3600.0: "an hour", 259_200.0: "3 days"}
    assert words.format(default) in DOC
    assert default not in units or units[default] in words


def test_its_times_without_a_setting_are_the_codes() -> None:
    """Those of jobs."""
    assert TEXT_SECONDS == 24 * 3600
    assert "24 hours at most" in DOC
    assert f"| {ALIVE_SECONDS:g} seconds |" in DOC


def test_what_is_off_by_default_is_said_to_be() -> None:
    """The first paragraph promises that nothing of a request is written."""
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for name in ("USAGE_FILE", "USAGE_USERS", "REDIS_URL", "SEND_USER"):
        assert not defaults[name]
