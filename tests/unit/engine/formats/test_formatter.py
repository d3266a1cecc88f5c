"""The formatter: each caller's format, the site's, and what is done once for many callers."""

import asyncio

import pytest

from sidecar.core.contract import Format
from sidecar.engine.answer_cache import AnswerCache
from sidecar.engine.formats.formatter import Formatter, formatter_of
from tests.support.http_sidecar import settings_of

TEXT = "a<b *c*"
WRITTEN: dict[Format, str] = {
    "html": "<code hidden></code><p>a&lt;b <em>c</em></p>",
    "markdown": TEXT,
    "text": "a<b c",
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("named", WRITTEN)
def test_a_callers_format_wins(form: Format, named: Format) -> None:
    """Without one the usual format holds."""
    assert Formatter(form).write(TEXT) == WRITTEN[form]
    assert Formatter(form).write(TEXT, named) == WRITTEN[named]


@pytest.mark.parametrize(
    ("named", "usual", "written"),
    [
        ({}, "html", WRITTEN["html"]),
        ({}, "markdown", TEXT),
        ({"FORMAT": "text"}, "html", "a<b c"),
        ({"FORMAT": "html"}, "markdown", WRITTEN["html"]),
        ({"HTML_SAFE": "true"}, "html", "a< b *c*"),
        ({"HTML_SAFE": "true"}, "markdown", "a< b *c*"),
        ({"HTML_SAFE": "true", "FORMAT": "html"}, "markdown", WRITTEN["html"]),
        ({"HTML_SAFE": "true", "FORMAT": "text"}, "html", "a< b c"),
        ({"HTML_SAFE": "false"}, "html", WRITTEN["html"]),
    ],
)
def test_the_sites_format(named: dict[str, str], usual: Format, written: str) -> None:
    """FORMAT decides, then HTML_SAFE with the meaning that it always had, then what the way in has by default."""
    assert formatter_of(settings_of(**{"FORMAT": "", **named}), usual).write(TEXT) == written


def test_no_format_sends_what_php_cannot_read() -> None:
    """Lone surrogates and NUL never leave, nor an entity that would make one."""
    for form in WRITTEN:
        written = Formatter(form).write("a\ud800b\x00c &#xD800; &#0;")
        written.encode()
        assert "\x00" not in written


async def test_the_html_of_a_shared_answer_is_made_once() -> None:
    """A class on one page costs one conversion; a chat's is nobody else's, and is not kept."""
    finished = AnswerCache(ttl=100.0, size=10_000)
    formatter = Formatter("html", finished=finished)
    written = await asyncio.gather(*(formatter.written(TEXT, shared=True) for _ in range(3)))
    assert written == [WRITTEN["html"]] * 3
    assert formatter.kept == 1
    await formatter.written("another", shared=False)
    await formatter.written(TEXT, "text", shared=True)
    assert formatter.kept == 1


@pytest.mark.parametrize("named", [{"CACHE_TTL": "0"}, {"CACHE_BYTES": "0"}])
async def test_without_a_cache_nothing_is_kept(named: dict[str, str]) -> None:
    """What turns the cache of answers off turns this one off."""
    formatter = formatter_of(settings_of(**{"FORMAT": "html", **named}), "html", cached=True)
    assert await formatter.written(TEXT, shared=True) == WRITTEN["html"]
    assert formatter.kept == 0
