"""The formatter: from the provider's words to `data` as one caller wants it. What callers share are the words."""

from typing import TYPE_CHECKING, Final

import msgspec

from sidecar.core.contract import FORMATS, Format, sendable
from sidecar.core.long_text import replaced
from sidecar.core.off_loop import THREAD_BYTES, off_loop
from sidecar.engine.answer_cache import AnswerCache, Key

if TYPE_CHECKING:
    from sidecar.config.settings import Settings

_WEIGHT: Final = 8
"""The cost of a character here over that of a byte in a parser: from 16 Ki characters on, the work leaves the loop."""
_CACHE_SHARE: Final = 16
"""CACHE_BYTES over the bytes of finished HTML kept for callers of the same answer."""


Wanted = Format | msgspec.UnsetType
"""The format that a caller names; unset for none."""


class Formatter:
    """Writes answers in the format of each caller; `usual` is that of a caller that names none.

    `parted` puts a space after each `<` of answers that are no HTML (HTML_SAFE). `finished` keeps the HTML of shared
    answers. `lasting`: others are served meanwhile, so the parser, which few answers need, is loaded in the thread.
    """

    def __init__(
        self,
        usual: Format = "markdown",
        *,
        parted: bool = False,
        finished: AnswerCache | None = None,
        lasting: bool = True,
    ) -> None:
        self.usual: Format = usual
        self._loaded = not lasting
        self._parted = parted
        self._finished = finished

    @property
    def kept(self) -> int:
        """Count the finished answers that are kept."""
        return 0 if self._finished is None else len(self._finished)

    async def written(self, text: str, wanted: Wanted = msgspec.UNSET, *, shared: bool = False) -> str:
        """Return `text` as `wanted`; `shared`: others may get the same answer."""
        form = self._of(wanted)
        if self._finished is None or not (shared and form == "html"):
            return await self._made(text, form)
        key = await off_loop(len(text), _key, text)
        if (found := self._finished.get(key, "")) is None:
            if not (self._loaded or _simple(text, form)):
                await self._load()  # once, and the first of a class writes the answer of all
                if (found := self._finished.get(key, "")) is not None:
                    return found
            found = await self._made(text, form)
            self._finished.put(key, found)
        return found

    async def _made(self, text: str, form: Format) -> str:
        """Return `text` in a format, written in the thread where a parser takes long."""
        if form == "markdown":
            return await off_loop(len(text), self._parsed, text, form)
        if (found := _simple(text, form)) is not None:
            return found
        if not self._loaded:
            await self._load()
        return await off_loop(len(text) * _WEIGHT, self._parsed, text, form)

    async def _load(self) -> None:
        """Load the parser in the thread: its import takes a tenth of a second."""
        await off_loop(THREAD_BYTES, _load)
        self._loaded = True

    def write(self, text: str, wanted: Wanted = msgspec.UNSET) -> str:
        """Return `text` as `wanted`, on the calling thread."""
        form = self._of(wanted)
        found = _simple(text, form)
        return self._parsed(text, form) if found is None else found

    def _parsed(self, text: str, form: Format) -> str:
        text = sendable(text)
        if form == "html":
            from sidecar.engine.formats.html import to_html  # noqa: PLC0415 - late: few answers need a parser

            return sendable(to_html(text))
        if form == "text":
            from sidecar.engine.formats.text import to_text  # noqa: PLC0415 - as above

            text = sendable(to_text(text))
        return replaced(text, "<", "< ") if self._parted else text

    def _of(self, wanted: Wanted) -> Format:
        return self.usual if wanted is msgspec.UNSET else wanted


def formatter_of(settings: "Settings", usual: Format, *, cached: bool = False, lasting: bool = True) -> Formatter:
    """Return the formatter of `settings`; `usual` where neither FORMAT nor HTML_SAFE says anything.

    `cached`: it keeps the HTML of shared answers. `lasting`: see `Formatter`.
    """
    if settings.html_safe:
        usual = "markdown"
    size = settings.cache_bytes // _CACHE_SHARE if cached else 0
    finished = AnswerCache(ttl=settings.cache_ttl, size=size) if size and settings.cache_ttl else None
    named = next((known for known in FORMATS if known == settings.format), usual)
    return Formatter(named, parted=settings.html_safe, finished=finished, lasting=lasting)


def _simple(text: str, form: Format) -> str | None:
    if form != "html":
        return None
    from sidecar.engine.formats.simple import LONGEST, simple_html  # noqa: PLC0415 - late: a caller of Markdown needs none

    return simple_html(sendable(text)) if len(text) <= LONGEST else None


def _load() -> None:
    from sidecar.engine.formats import html, text  # noqa: F401, PLC0415 - as above


def _key(text: str) -> Key[str]:
    from hashlib import sha256  # noqa: PLC0415 - as in keys.py

    return Key(sha256(text.encode("utf-8", "surrogatepass")).digest())
