"""Promises to a person whose sidecar is dead, slow or refuses: a sentence soon, or the next provider's summary."""

import re
import signal
from collections.abc import Callable

import pytest

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers, Summary
from tests.support.moodle.school import KEY, TEXTS, School

Measured = Callable[[object], None]
QUIET = "The moon has no sea. "


@pytest.fixture(autouse=True)
async def warm_site(plugin: School, opened: Browsers) -> None:
    """PHP's and Moodle's caches are those of a site at work."""
    for _ in range(2):
        await pressed(plugin, opened)


async def pressed(school: School, opened: Browsers, text: str = QUIET) -> Summary:
    return await opened.summarise(school.people[0], 0, text)


async def test_a_dead_sidecar_is_a_sentence_at_once(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Within 0.2 s of the click, the median of five."""
    summaries = [await pressed(plugin, opened) for _ in range(5)]
    assert all("The AI service is not running." in summary.words for summary in summaries), summaries
    seconds = sorted(summary.seconds for summary in summaries)[2]
    measured(f"{seconds:.2f} s: {summaries[0].words}")
    assert seconds < 0.2


async def test_the_next_provider_answers_for_a_dead_sidecar(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Core's own, which points straight at the model's."""
    plugin.site.order("straight", url=plugin.provider_url, key=KEY)
    summary = await pressed(plugin, opened)
    measured(f"{summary.seconds:.2f} s with the provider's one")
    assert summary.answered, summary
    assert provider.stats.answered == 1
    assert "aiprovider_openai" in str(plugin.site.order("stored")[-1])


async def test_a_slow_provider_is_a_sentence_at_the_deadline(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    async with plugin.sidecar("--request-timeout=3"):
        summary = await pressed(plugin, opened, "[demo stall=1]" + QUIET)
    measured(f"{summary.seconds:.2f} s: {summary.words}")
    assert "The answer was not ready in time." in summary.words
    assert summary.seconds < 4


async def test_a_sidecar_that_hangs_is_a_sentence_after_the_plugins_own_time(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """The process takes connections and never answers; the person's next page comes all the same."""
    async with plugin.sidecar() as sidecar:
        sidecar.process.send_signal(signal.SIGSTOP)
        summary = await pressed(plugin, opened)
    measured(f"{summary.seconds:.2f} s: {summary.words}")
    assert "The AI service did not answer in time." in summary.words
    assert summary.seconds < 40


@pytest.mark.parametrize(
    "refusal",
    [
        ("--sidecar-token=another", QUIET, "The AI service did not accept this site."),
        ("--api-key=wrong", QUIET, "The AI did not accept the key of this site."),
        ("--max-body-bytes=5000", TEXTS[0] * 10, "This text is too long for the AI."),
        ("--concurrency=16", "[demo status=500]" + QUIET, "The AI had a fault."),
        ("--base-url=http://127.0.0.1:9/v1", QUIET, "The AI cannot be reached right now."),
    ],
)
async def test_a_refusal_is_a_sentence(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured, refusal: tuple[str, str, str]
) -> None:
    """With the id by which the request is found in the sidecar's log."""
    flag, text, sentence = refusal
    async with plugin.sidecar(flag) as sidecar:
        summary = await pressed(plugin, opened, text)
        assert sentence in summary.words
        number = re.findall(r"\(Request (\w+)\)", summary.words)
        assert number, summary
        await sidecar.until(lambda log: any(line.get("request_id") == number[0] for line in log))
    measured(f"{summary.seconds:.2f} s: {summary.words}")
    assert summary.seconds < 15


@pytest.mark.parametrize("refusal", ["quota=true", "status=401", "status=403", "status=404"])
async def test_a_lone_person_hears_soon_of_a_provider_that_refuses_for_good(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured, refusal: str
) -> None:
    """A used-up quota, a refused key, a forbidden or unknown model: within two seconds."""
    async with plugin.sidecar():
        summary = await pressed(plugin, opened, f"[demo {refusal}]" + QUIET)
    measured(f"{summary.seconds:.2f} s: {summary.words}")
    assert not summary.answered
    assert summary.seconds < 2
