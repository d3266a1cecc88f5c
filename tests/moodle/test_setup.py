"""Promises of `moodle setup` at a real Moodle: two commands to a summary, twice is once, and nothing stays of it."""

import json
import re
import time
from collections.abc import Callable

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers
from tests.support.moodle.school import TEXTS, School

Measured = Callable[[object], None]
BUTTON = 'data-action="(course-)?summarise(_text)?"'
"""Of a page: `course-summarise` in 4.5, `summarise` in 5.0, `summarise_text` since."""
LOGS = frozenset({"config_log", "logstore_standard_log", "upgrade_log", "task_log", "cache_flags"})
"""Tables that Moodle only ever adds to."""
STAMPS = frozenset({"jsrev", "langrev", "localcachedirpurged", "scheduledtaskreset", "templaterev", "themerev"})
"""Settings that say when a cache was emptied: Moodle writes them at each upgrade."""


async def test_two_commands_lead_to_a_summary(
    plain: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """In under two minutes, from the installed Moodle; the person then accepts Moodle's policy and presses."""
    security = plain.site.settings("curlsecurityblockedhosts", "curlsecurityallowedport")
    began = time.monotonic()
    async with plain.sidecar():
        plain.set_up("--placements", f"--env-file={plain.env_file()}")
        pupil, page = plain.people[7], plain.site.made.pages[0]
        await opened.service(pupil, "core_ai_set_policy_status", contextid=page["context"])
        _, text = await opened.page(pupil, f"/mod/page/view.php?id={page['module']}")
        assert re.search(BUTTON, text)
        summary = await opened.summarise(pupil, 0, TEXTS[0])
    assert summary.answered, summary
    seconds = time.monotonic() - began
    measured(f"{seconds:.1f} s")
    assert seconds < 120
    assert plain.site.settings("curlsecurityblockedhosts", "curlsecurityallowedport") == security


def test_undo_leaves_every_table_as_it_was(plain: School) -> None:
    """Compared row by row, but for logs."""
    before = plain.site.database.tables("moodle")
    plain.set_up("--placements", f"--env-file={plain.env_file()}", reached=False)
    assert plain.site.plugin.is_dir()
    assert changed(before, plain.site.database.tables("moodle"))
    plain.set_up("--undo")
    assert not plain.site.plugin.exists()
    assert changed(before, plain.site.database.tables("moodle")) == {}


def test_a_second_setup_changes_nothing(plugin: School) -> None:
    before = plugin.site.database.tables("moodle")
    plugin.set_up("--placements", f"--env-file={plugin.env_file()}", reached=False)
    assert changed(before, plugin.site.database.tables("moodle")) == {}


def test_a_dry_run_changes_nothing(plain: School) -> None:
    """It lists what it would do."""
    before = plain.site.database.tables("moodle")
    assert plain.set_up("--placements", f"--env-file={plain.env_file()}", "--dry-run")
    assert changed(before, plain.site.database.tables("moodle")) == {}
    assert not plain.site.plugin.exists()


def changed(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the rows that only one of both states has, by table."""
    names = {*before, *after} - {f"mdl_{name}" for name in LOGS}
    found = {name: before.get(name, set()) ^ after.get(name, set()) for name in sorted(names)}
    for name in ("mdl_config", "mdl_config_plugins"):
        found[name] = {row for row in found[name] if json.loads(row)["name"] not in STAMPS}
    return {name: rows for name, rows in found.items() if rows}
