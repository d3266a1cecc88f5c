"""Promises to a pupil with a browser: a login by the form, Moodle's policy, and a summary through the button."""

import os
from pathlib import Path

from sidecar.demo.provider import Demo
from tests.support.chromium import Tab, chromium, needs_chromium
from tests.support.moodle.school import School
from tests.support.moodle.site import PASSWORD
from tests.support.paths import ROOT

pytestmark = needs_chromium

PICTURES = ROOT / "build/moodle"
PATIENCE = 120.0
"""Seconds for a page whose scripts and strings no cache has yet."""
BUTTON = (
    '.course-assist-controls [data-action="summarise_text"], .course-assist-controls [data-action="summarise"], '
    '[data-action="course-summarise"]:not(#ai-drawer-close)'
)
"""Moodle 5.1 and newer, 5.0, and 4.5."""
MENU = ".course-assist-controls .dropdown-toggle"
DRAWER = "document.querySelector('#ai-drawer .ai-drawer-body').innerText"


async def click(tab: Tab, selector: str) -> None:
    """Click with the mouse, once the element is there and in sight."""
    place = f"document.querySelector({selector!r})"
    await tab.until(f"{place}?.checkVisibility() && {place}.getBoundingClientRect().width")
    await tab.run(f"{place}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    x, y = await tab.run(
        f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({place}.getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        await tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


async def logged_in(tab: Tab, school: School, name: str) -> None:
    tab.patience = PATIENCE
    await tab.size(1280, 900)
    await tab.go(f"{school.site.web.url}/login/index.php")
    for field, text in (("#username", name), ("#password", PASSWORD)):
        await click(tab, field)
        await tab.call("Input.insertText", text=text)
    await tab.press("Enter")
    await tab.until("document.querySelector('#user-menu-toggle')")


async def pressed(tab: Tab, school: School) -> None:
    """Open a page, press "summarise" there, and accept Moodle's policy."""
    await tab.go(f"{school.site.web.url}/mod/page/view.php?id={school.site.made.pages[0]['module']}")
    await tab.until("require.defined('aiplacement_courseassist/placement') && !M.util.pending_js.length")
    if await tab.run(f"Boolean(document.querySelector({MENU!r}))"):
        await click(tab, MENU)
    await click(tab, BUTTON)
    await click(tab, '.ai-policy-block [data-action="accept"]')


def keep(picture: bytes, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}-{Path(os.environ['MOODLE_DIR']).name}.png").write_bytes(picture)


async def test_a_pupil_reads_a_summary(plugin: School, provider: Demo) -> None:
    """Of the page's own text, as the browser sees it."""
    async with plugin.sidecar(), chromium() as tab:
        await logged_in(tab, plugin, "pupil42")
        await pressed(tab, plugin)
        await tab.until(f"document.querySelector('#ai-drawer [data-action*=regenerate]') && {DRAWER}.length > 100")
        keep(await tab.picture(), "summary")
        drawer = await tab.run(DRAWER)
    sent = provider.received[-1].json()
    assert "Page 0 of the course." in sent["messages"][-1]["content"]
    assert "The moon circles the Earth in 27 days." in drawer, drawer


async def test_a_pupil_reads_our_sentence(plugin: School) -> None:
    """In Moodle 5.1 and newer; the pages of 4.5 and 5.0 have words of their own for every failure."""
    async with chromium() as tab:
        await logged_in(tab, plugin, "pupil43")
        await pressed(tab, plugin)
        await tab.until(f"document.querySelector('#ai-drawer [data-action*=retry]') || {DRAWER}.includes('Request')")
        keep(await tab.picture(), "sentence")
        drawer = await tab.run(DRAWER)
    ours = "The AI service is not running. Please try again in a moment. (Request "
    assert ours in drawer or plugin.site.branch < 501, drawer
