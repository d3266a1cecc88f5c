"""Promises to a class whose pages were summarised at night, by Moodle's own scheduled task."""

from collections.abc import Callable
from pathlib import Path

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers
from tests.support.moodle.school import TEXTS, School

Measured = Callable[[object], None]
PAGES = 5
"""Pages with a text of their own in the night's course."""
TASK = r"\aiprovider_sidecar\task\summarise_pages"


def shown(page: int) -> str:
    """Return what Moodle's JavaScript sends of a page: the text that the browser shows, with its heading."""
    return f"Page {page + 1}\nDone\n{TEXTS[page]}\n"


def run_task(school: School) -> str:
    """Return what the task says, run as an administrator runs it by hand."""
    return school.site.php(school.site.code / "admin/cli/scheduled_task.php", f"--execute={TASK}")


async def night(school: School, provider: Demo) -> None:
    """Let the task enqueue the pages, and collect their summaries once the worker has made them."""
    school.site.order("night", pages=PAGES)
    assert f"Pages enqueued: {PAGES}" in run_task(school)
    await provider.until(lambda stats: stats.answered == PAGES, within=60)
    said = run_task(school)
    assert f"{PAGES} complete, 0 failed, 0 waiting" in said, said


def stored(school: School) -> int:
    """Return the number of summaries in Moodle's own store."""
    count = "SELECT count(*) FROM mdl_aiprovider_sidecar_pages WHERE status = 1"
    return int(school.site.database.query(count, database="moodle"))


async def test_the_first_click_of_the_morning_costs_no_call(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured, tmp_path: Path
) -> None:
    """A person who asks again, and a page that changed, have a new summary. A run without news costs nothing."""
    async with plugin.sidecar("--jobs", f"--state-dir={tmp_path}"):
        await night(plugin, provider)
        made = provider.stats.received
        summaries = [await opened.summarise(person, 0, shown(0)) for person in plugin.people[:10]]
        assert all(summary.answered for summary in summaries), summaries
        assert len({summary.data["generatedcontent"] for summary in summaries}) == 1
        assert provider.stats.received == made
        measured(f"{sorted(summary.seconds for summary in summaries)[5]:.2f} s, the median of ten")

        again = await opened.summarise(plugin.people[0], 0, shown(0))
        changed = await opened.summarise(plugin.people[1], 1, "Page 2\nAnother text. " * 50)
        assert again.answered, again
        assert changed.answered, changed
        assert provider.stats.received == made + 2

        run_task(plugin)
        assert provider.stats.received == made + 2


async def test_the_summary_goes_with_its_page(plugin: School, provider: Demo, tmp_path: Path) -> None:
    """And those of a course that is taken off the list go in the next run, and all with the plugin."""
    async with plugin.sidecar("--jobs", f"--state-dir={tmp_path}"):
        await night(plugin, provider)
        assert stored(plugin) == PAGES
        plugin.site.order("without", page=plugin.site.made.pages[0]["module"])
        assert stored(plugin) == PAGES - 1
        plugin.site.order("night", pages=0)
        run_task(plugin)
        assert stored(plugin) == 0
        plugin.set_up("--undo")
    assert "aiprovider_sidecar_pages" not in "".join(plugin.site.database.tables("moodle"))


async def test_a_night_without_jobs_says_what_is_missing(plugin: School, provider: Demo) -> None:
    """The task fails with the sidecar's cause in its log."""
    plugin.site.order("night", pages=PAGES)
    async with plugin.sidecar():
        said = run_task(plugin)  # Moodle's command ends with exit code 0 all the same
    assert "The sidecar cannot take jobs: they are not switched on (--jobs" in said, said
    assert stored(plugin) == 0
