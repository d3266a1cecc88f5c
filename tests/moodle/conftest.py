"""A real Moodle for these tests: installed once, with a stored state for each way it is set up.

`MOODLE_DIR=… make test-moodle` runs them; without MOODLE_DIR no file here is collected, so that nothing is skipped.
docs/moodle-tests.md says what they need and show.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers, Person, browsers
from tests.support.moodle.school import CLASS, KEY, TEXTS, School
from tests.support.moodle.site import MOODLE_DIR, Site

collect_ignore_glob = [] if MOODLE_DIR else ["test_*.py"]

MOODLE_SITE = os.environ.get("MOODLE_SITE", "")
"""Folder that keeps the installed site for the next run; blank takes a temporary one."""
LOGINS = 4
"""People who log in at once, while the site is made."""
_MEASURED = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture(scope="session")
def school() -> Iterator[School]:
    with contextlib.ExitStack() as stack:
        folder = MOODLE_SITE or stack.enter_context(_temporary())
        Path(folder).mkdir(exist_ok=True)
        site = Site(Path(folder))
        stack.callback(site.stop)
        site.database.start()
        if not site.is_made:
            _make(site)
        yield School(site, [Person(*person) for person in site.made.people])


def _temporary() -> contextlib.AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="moodle-tests-", ignore_cleanup_errors=True)


def _make(site: Site) -> None:
    site.install()
    site.seed(CLASS, TEXTS)
    site.web.start()
    site.made.people = [(person.cookies, person.sesskey) for person in asyncio.run(_logged_in(site))]
    site.finish()


async def _logged_in(site: Site) -> list[Person]:
    turns = asyncio.Semaphore(LOGINS)

    async def one(number: int) -> Person:
        async with turns:
            return await people.log_in(f"pupil{number}")

    async with browsers(site) as people:
        return await asyncio.gather(*(one(number) for number in range(CLASS)))


@pytest.fixture(scope="session")
def straight_state(school: School) -> str:
    """The site without a sidecar: core's own provider points straight at the model's."""
    school.site.restore("plain")
    school.site.order("straight", url=school.provider_url, key=KEY)
    school.site.store("straight")
    return "straight"


@pytest.fixture(scope="session")
def plugin_state(school: School) -> str:
    """The site with our plugin, as `moodle setup` leaves it."""
    school.site.restore("plain")
    school.set_up("--placements", f"--env-file={school.env_file()}", reached=False)
    school.site.store("plugin")
    return "plugin"


@pytest.fixture
def plain(school: School) -> School:
    """The site as installed, without provider, plugin or button."""
    school.site.restore("plain")
    return school


@pytest.fixture
def straight(school: School, straight_state: str) -> School:
    school.site.restore(straight_state)
    return school


@pytest.fixture
def plugin(school: School, plugin_state: str) -> School:
    school.site.restore(plugin_state)
    return school


@pytest.fixture
async def opened(school: School) -> AsyncIterator[Browsers]:
    async with browsers(school.site) as running:
        yield running


@pytest.fixture
async def provider(school: School) -> AsyncIterator[Demo]:
    async with school.provider() as running:
        yield running


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Note a result for the list at the end of the run."""
    stash = request.config.stash
    return lambda result: stash.setdefault(_MEASURED, []).append((request.node.name, str(result)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section(f"measured on {Path(MOODLE_DIR).name}")
        for name, line in lines:
            terminalreporter.line(f"{name}: {line}")
