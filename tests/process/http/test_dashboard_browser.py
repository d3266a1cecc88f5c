"""Promises of the dashboard's page in a real browser, before a real server in a real burst."""

import asyncio

from sidecar.core.errors import UpstreamError
from sidecar.demo.provider import Demo
from tests.support.chromium import Tab, axe, chromium, needs_chromium
from tests.support.faults import listed
from tests.support.server_process import Served, served
from tests.support.stored_jobs import run_of
from tests.support.valkey import valkey
from tests.support.workers import jobs_of, lecture

TOKEN = "canaryTOKEN4712"
TEXT = "canaryTEXT4714"
USER = "canaryUSER4715"
KEY = "sk-canaryKEY4711"
ABROAD = {"X-Forwarded-For": "192.0.2.1"}
"""Header of a request that a proxy passes on: not from this machine, so that the token counts."""


def shows(text: str, where: str = "document.body") -> str:
    return f"{where}.innerText.includes({text!r})"


async def logged_in(tab: Tab, sidecar: Served) -> None:
    """A page whose reader typed the token, with a wrong one before."""
    await tab.call("Network.enable")
    await tab.call("Network.setExtraHTTPHeaders", headers=ABROAD)
    await tab.go(f"http://127.0.0.1:{sidecar.port}/dashboard")
    await tab.until("document.activeElement.id === 'token'")
    await accessible(tab, NARROW)
    for token, after in (("wrong", "did not take this token"), (TOKEN, "What to do")):
        await tab.until("document.activeElement.id === 'token'")
        assert not await tab.run(shows("Waiting"))
        await tab.call("Input.insertText", text=token)
        await tab.press("Enter")
        await tab.until(shows(after))
    assert await tab.run("[localStorage.length, sessionStorage.length, document.cookie, location.search]") == [
        0,
        0,
        "",
        "",
    ]
    assert all("401" in said for said in tab.complaints), tab.complaints
    tab.complaints.clear()


async def burst(sidecar: Served, count: int) -> None:
    """A class, part of which reads the same page."""
    page = f"{TEXT}: the moon circles the Earth."
    requests = [
        sidecar.chat(page, action="summarize", user_id=USER)
        if number % 3 == 0
        else sidecar.chat(f"{TEXT} {number}", user_id=f"{USER}{number}")
        for number in range(count)
    ]
    assert all(reply["success"] for reply in await asyncio.gather(*requests))


async def faults(tab: Tab) -> list[str]:
    """What axe-core finds wrong with the page, by WCAG 2.1 AA and its own best practices."""
    nodes = "all.violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html} ${node.failureSummary}`))"
    found = await tab.run(f"axe.run().then((all) => {nodes})")
    assert isinstance(found, list)
    return found


LONGEST = "a-provider-with-the-longest-name-of-all-0"[:40]
STATE_OF_LONGEST = f"""(() => {{
  const [name, state] = document.querySelector("#providers tbody tr").cells;
  name.textContent = {LONGEST!r};
  return state.getBoundingClientRect().right - document.documentElement.clientWidth;
}})()"""
"""Pixels by which a provider's state is outside of the window."""


async def readable_with_long_names(tab: Tab) -> None:
    """On a phone the state of a provider is beside its name, without scrolling to the side."""
    await tab.size(360, 800)
    await tab.until("innerWidth === 360")
    assert await tab.run(STATE_OF_LONGEST) <= 0


ROWS = "[...document.querySelectorAll('#jobs tbody tr')]"
WIDE, NARROW = ("light", 1280), ("dark", 360)


async def accessible(tab: Tab, *views: tuple[str, int]) -> None:
    """Names, roles and contrast, and no scrolling to the side, at each colour scheme and width."""
    if not await tab.run("'axe' in window"):
        await tab.run(axe())
    for scheme, width in views:
        await tab.prefer(scheme)
        await tab.size(width, 800)
        await tab.until(f"innerWidth === {width} && document.documentElement.dataset.theme === {scheme!r}")
        found = await faults(tab)
        assert not found, listed(found)
        assert await tab.run("document.documentElement.scrollWidth") <= width


async def by_keyboard(tab: Tab) -> None:
    """The first link skips to the numbers; a chart reads its values by arrow keys; a table shows them all."""
    await tab.run("document.querySelector('.skip').focus()")
    await tab.press("Enter")
    await tab.until("document.activeElement.id === 'main'")
    await tab.run("document.querySelector('#chart-outcomes .plot').focus()")
    await tab.press("Home", "ArrowRight")
    assert "answered" in await tab.run("document.querySelector('#chart-outcomes output').textContent")
    await tab.press("Escape")
    assert await tab.run("document.querySelector('#chart-outcomes output').textContent") == ""
    await tab.run("document.querySelector('#chart-outcomes summary').focus()")
    await tab.press(" ")
    await tab.until("document.querySelectorAll('#chart-outcomes tbody tr').length > 0")


@needs_chromium
async def test_a_burst_is_seen_on_the_page_and_the_end_of_the_server_too(demo: Demo) -> None:
    """Numbers for those with the token, by keyboard, on a phone; contact that is lost and found; and no secret."""
    demo.behave(latency=0.2, slots=6)
    flags = (f"--base-url={demo.url}/v1", f"--api-key={KEY}")
    async with chromium() as tab:
        async with served(*flags, SIDECAR_TOKEN=TOKEN) as sidecar:
            await logged_in(tab, sidecar)
            await burst(sidecar, 60)
            await tab.until(shows("60", "document.getElementById('start')"))
            await tab.until("document.querySelectorAll('#chart-outcomes path').length > 1")
            await by_keyboard(tab)
            demo.behave(status=401)
            await asyncio.gather(*(sidecar.chat(f"{TEXT} {number}", user_id=USER) for number in range(4)))
            await tab.until(shows("the provider refuses the key"))
            await accessible(tab, WIDE, NARROW)
            await readable_with_long_names(tab)
            everything = await tab.run("document.documentElement.outerHTML + JSON.stringify([samples, shown])")
            assert not [secret for secret in (TOKEN, TEXT, USER, KEY) if secret in everything]
            assert tab.complaints == []
            sidecar.process.kill()
            await tab.until(shows("Contact lost"))
            await tab.until(shows("No contact with the sidecar for"))
            await accessible(tab, WIDE)
        async with served(*flags, f"--port={sidecar.port}", SIDECAR_TOKEN=TOKEN):
            await tab.run("document.getElementById('retry').click()")
            await tab.until("document.getElementById('lost').hidden && " + shows("Serving"))


@needs_chromium
async def test_jobs_are_seen_by_lane_and_state_with_their_progress(demo: Demo) -> None:
    """Queued, in progress, done and failed; the calls of a long text as they are done; no id, no text."""
    async with valkey() as redis, jobs_of(REDIS_URL=redis.url) as store, chromium() as tab:
        flags = (f"--base-url={demo.url}/v1", f"--api-key={KEY}", f"--redis-url={redis.url}")
        async with served(*flags) as sidecar:
            night = await store.enqueue([lecture(number) for number in range(5)])
            runs = [await run_of(store, job.job_id) for job in night[:3]]
            await runs[0].complete(f"Done, says {TEXT}.")
            await runs[1].fail(UpstreamError())
            await runs[2].keep(b"key", TEXT, done=3, total=12)
            await tab.go(f"http://127.0.0.1:{sidecar.port}/dashboard")
            rows = f"{ROWS}.map((row) => [...row.cells].map((cell) => cell.textContent))"
            await tab.until(f"({rows}).some((row) => row[3] === '3 of 12')")
            day, lane, run = await tab.run(rows)
            assert day == ["day (a caller waits)", "0", "0", "0", "0"]
            assert lane == ["night", "4", "1", "1", "1"]  # arq, which is not here, would take out what ended
            assert run[1:] == ["night", "summarize", "3 of 12"]
            await accessible(tab, NARROW)
            shown = await tab.run("document.documentElement.outerHTML + JSON.stringify([samples, shown])")
            assert not [secret for secret in (TEXT, *(job.job_id for job in night)) if secret in shown]
