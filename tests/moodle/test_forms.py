"""Promises to an administrator with a browser: the settings of the provider, and their line on the sidecar's state."""

import json
from typing import Any

from sidecar.demo.provider import Demo
from tests.moodle.test_browser import click, keep, logged_in
from tests.support.chromium import chromium, needs_chromium
from tests.support.moodle.school import TOKEN, School

pytestmark = needs_chromium

SAVE = "#id_updateandreturn, #adminsettings button[type=submit]"
DEADLINE = "#id_deadline, #id_s_aiprovider_sidecar_deadline"


def address(school: School) -> str:
    """Return the address of the settings: an instance's, or the site's in 4.5."""
    if school.site.branch == 405:
        return f"{school.site.web.url}/admin/settings.php?section=aiprovider_sidecar"
    query = "SELECT id FROM mdl_ai_providers WHERE provider LIKE 'aiprovider_sidecar%'"
    return f"{school.site.web.url}/ai/configure.php?id={school.site.database.query(query, database='moodle').strip()}"


def stored(school: School) -> dict[str, Any]:
    """Return the stored settings of the provider."""
    if school.site.branch > 405:
        query = "SELECT config FROM mdl_ai_providers WHERE provider LIKE 'aiprovider_sidecar%'"
        return dict(json.loads(school.site.database.query(query, database="moodle")))
    query = "SELECT name, value FROM mdl_config_plugins WHERE plugin = 'aiprovider_sidecar'"
    rows = school.site.database.query(query, database="moodle").splitlines()
    return dict(row.split("\t", 1) for row in rows if "\t" in row)


async def test_the_settings_say_whether_the_sidecar_is_reached(plugin: School, provider: Demo) -> None:
    """With the model behind it, and without showing the token; then that nobody answers there."""
    text = "document.querySelector('#region-main').innerText"
    async with chromium() as tab:
        await logged_in(tab, plugin, "admin")
        async with plugin.sidecar():
            await tab.go(address(plugin))
            shown = await tab.run(text)
            keep(await tab.picture(whole=True), "settings")
        assert "The sidecar is reached. Answers come from: gpt-4o" in shown, shown
        assert TOKEN not in shown
        await tab.go(address(plugin))
        shown = await tab.run(text)
        assert f"No sidecar is reached at {plugin.sidecar_url}." in shown, shown
    assert plugin.site.web.complaints() == []


async def test_saving_changes_what_was_changed(plugin: School) -> None:
    """The token stays as it is, though the form hides it."""
    before = stored(plugin)
    async with chromium() as tab:
        await logged_in(tab, plugin, "admin")
        await tab.go(address(plugin))
        await tab.run(f"window.unsaved = true; document.querySelector({DEADLINE!r}).value = '26'")
        await click(tab, SAVE)
        await tab.until("!window.unsaved && document.readyState === 'complete'")
    after = stored(plugin)
    assert after["deadline"] in {26, "26"}, after
    assert (after["url"], after["token"]) == (before["url"], before["token"])
    assert str(after["releasesession"]) == "1"
