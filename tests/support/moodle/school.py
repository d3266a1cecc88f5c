"""A school for the tests: a site with people, the ports of its sidecar and provider, and what a class measures."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.moodle.people import Browsers, Person, Summary, ideal
from tests.support.moodle.programs import PATIENCE
from tests.support.moodle.site import Site
from tests.support.paths import ROOT
from tests.support.server_process import Served, served

CLASS: Final = 100
"""People of the class, and pages of the course."""
WITHIN_SECONDS: Final = 3.0
"""Time from the first click of a class to the last."""
SLOTS: Final = 16
"""Calls that the provider takes at once."""
CALL_SECONDS: Final = 1.0
KEY: Final = "sk-canary-of-the-provider"
TOKEN: Final = "token-of-this-site"
TEXTS: Final = [
    f"Page {number} of the course. " + "The moon circles the Earth in 27 days. " * 25 for number in range(CLASS)
]
"""Text of each page, of a thousand characters."""


class School(NamedTuple):
    """The site and its people; the ports stay the same, since Moodle's settings name them."""

    site: Site
    people: list[Person]

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.site.made.provider_port}/v1"

    @property
    def sidecar_url(self) -> str:
        return f"http://127.0.0.1:{self.site.made.sidecar_port}"

    @asynccontextmanager
    async def provider(self) -> AsyncIterator[Demo]:
        """Run the model's provider in OpenAI's voice."""
        options = Options(slots=SLOTS, latency=CALL_SECONDS, api_key=KEY)
        async with serve(options, port=self.site.made.provider_port, keep=1000) as running:
            yield running

    @asynccontextmanager
    async def sidecar(self, *words: str) -> AsyncIterator[Served]:
        """Run the sidecar with its defaults, but for further flags in `words`."""
        async with served(f"--env-file={self.env_file()}", f"--port={self.site.made.sidecar_port}", *words) as running:
            yield running

    def env_file(self) -> Path:
        """Return the file of settings that the sidecar and `moodle setup` read."""
        settings = {"OPENAI_BASE_URL": self.provider_url, "OPENAI_API_KEY": KEY, "SIDECAR_TOKEN": TOKEN}
        settings |= {"OPENAI_MODEL": "gpt-4o", "PORT": str(self.site.made.sidecar_port)}
        file = self.site.folder / "sidecar.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        file.chmod(0o600)
        return file

    def set_up(self, *words: str, reached: bool = True) -> str:
        """Return what `moodle setup` prints at this site; its exit code says whether a sidecar is `reached`."""
        done = subprocess.run(
            [*(sys.executable, "-m", "sidecar", "moodle", "setup", str(self.site.code)), *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == (0 if reached else 1), done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout


class Lesson(NamedTuple):
    """A class's summaries, and what the provider saw of them."""

    summaries: Sequence[Summary]
    calls: int
    refused: int
    cpu: float
    """Seconds of CPU that Moodle's PHP took: on a busy machine these, and not the calls, decide when the last ends."""

    @property
    def answered(self) -> int:
        return sum(summary.answered for summary in self.summaries)

    @property
    def last(self) -> float:
        """Seconds from the first click to the last answer."""
        return max(summary.ended for summary in self.summaries)

    @property
    def ideal(self) -> float:
        """The same if all slots are always in use and Moodle takes no time."""
        return ideal([summary.came for summary in self.summaries], slots=SLOTS, seconds=CALL_SECONDS)

    @property
    def words(self) -> set[str]:
        """What those without a summary read."""
        return {summary.words for summary in self.summaries if not summary.answered}

    def __str__(self) -> str:
        waits = sorted(summary.seconds for summary in self.summaries)
        return (
            f"{self.answered} of {len(waits)} answered; {self.calls} calls, {self.refused} of them refused; "
            f"wait median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s; "
            f"last answer at {self.last:.2f} s, ideal {self.ideal:.2f} s; PHP took {self.cpu:.1f} s of CPU"
        )


async def warm(school: School, opened: Browsers, demo: Demo, *, person: Person | None = None) -> None:
    """Let one person read a page and two summaries, so that PHP's and Moodle's caches are those of a site at work."""
    person = person or school.people[0]
    await opened.page(person, f"/mod/page/view.php?id={school.site.made.pages[0]['module']}")
    for number in range(2):
        summary = await opened.summarise(person, number, f"Before the lesson {number}.")
        assert summary.answered, summary
    demo.reset()


async def lesson(school: School, opened: Browsers, demo: Demo, *, same: bool) -> Lesson:
    """Let the whole class press within three seconds, on the same page or on a page each."""
    await warm(school, opened, demo)
    first, used = time.monotonic(), school.site.web.cpu_seconds()

    async def one(number: int, person: Person) -> Summary:
        await asyncio.sleep(WITHIN_SECONDS * number / len(school.people))
        page = 0 if same else number
        return await opened.summarise(person, page, TEXTS[page], since=first)

    summaries = await asyncio.gather(*(one(number, person) for number, person in enumerate(school.people)))
    cpu = school.site.web.cpu_seconds() - used
    return Lesson(summaries, demo.stats.received, demo.stats.refused, cpu)
