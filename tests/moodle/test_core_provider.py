"""Promises of `moodle setup --openai-provider`: core's own provider, behind the nginx block of docs/moodle.md."""

from collections.abc import AsyncIterator, Callable

import pytest

from sidecar.demo.provider import Demo
from tests.moodle.test_setup import changed
from tests.support.moodle.low_port import block
from tests.support.moodle.people import Browsers
from tests.support.moodle.school import KEY, TEXTS, School

Measured = Callable[[object], None]


@pytest.fixture
async def core(plain: School) -> AsyncIterator[School]:
    """Run nginx with the shipped block, at the address that the command expects."""
    async with block(plain.site.folder / "web", plain.site.made.sidecar_port):
        yield plain


def set_up(school: School, *words: str, reached: bool = True) -> str:
    return school.set_up(
        "--openai-provider", "--placements", f"--env-file={school.env_file()}", *words, reached=reached
    )


async def test_a_summary_through_cores_own_provider(
    core: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Only a part of 127.0.0.0/8 is opened; the ports stay; nothing is installed."""
    async with core.sidecar():
        said = set_up(core)
        assert "PHP reaches the sidecar with this token" in said
        summary = await opened.summarise(core.people[3], 0, TEXTS[0])
    assert summary.answered, summary
    assert not core.site.plugin.exists()
    hosts = core.site.settings("curlsecurityblockedhosts")
    assert "127.0.0.0/16" in hosts
    assert "127.0.0.0/8" not in hosts
    measured(f"{summary.seconds:.2f} s")


async def test_the_next_provider_answers_behind_the_block(
    core: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """A dead sidecar is nginx's 503 in OpenAI's shape; without a next provider Moodle shows its own words."""
    set_up(core, reached=False)
    summary = await opened.summarise(core.people[3], 0, TEXTS[0])
    assert not summary.answered
    assert "exception" not in summary.data, summary
    if core.site.branch > 405:
        core.site.order("straight", url=core.provider_url, key=KEY)
        summary = await opened.summarise(core.people[3], 0, TEXTS[0])
        assert summary.answered, summary
    measured(f"{summary.seconds:.2f} s: {summary.words}")


async def test_undo_leaves_every_table_as_it_was(core: School) -> None:
    before = core.site.database.tables("moodle")
    set_up(core, reached=False)
    assert changed(before, core.site.database.tables("moodle"))
    again = core.site.database.tables("moodle")
    set_up(core, reached=False)
    assert changed(again, core.site.database.tables("moodle")) == {}
    core.set_up("--openai-provider", "--undo")
    assert changed(before, core.site.database.tables("moodle")) == {}
