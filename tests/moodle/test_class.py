"""Promises to a class: a hundred people who press "summarise" within three seconds, at a provider of sixteen slots."""

from collections.abc import Callable

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers
from tests.support.moodle.school import CLASS, School, lesson

Measured = Callable[[object], None]


async def test_the_same_page_costs_one_call(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Everybody reads the summary."""
    async with plugin.sidecar():
        seen = await lesson(plugin, opened, provider, same=True)
    measured(seen)
    assert (seen.answered, seen.calls) == (CLASS, 1), seen.words


async def test_different_pages_are_all_answered_near_the_ideal_time(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """With at most a tenth of the calls refused, though nobody told the sidecar of the sixteen slots."""
    async with plugin.sidecar():
        seen = await lesson(plugin, opened, provider, same=False)
    measured(seen)
    assert seen.answered == CLASS, seen.words
    assert seen.calls <= 1.1 * CLASS
    assert seen.last <= 1.25 * seen.ideal


async def test_without_the_sidecar_half_of_the_class_is_refused(
    straight: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Core's provider points straight at the model's: 48 to 54 are answered, more where Moodle itself is slow."""
    seen = await lesson(straight, opened, provider, same=False)
    measured(seen)
    assert CLASS / 3 < seen.answered < CLASS * 3 / 4, seen.words
