"""The splitter: cuts a text by tokens at sentence and paragraph borders; the only user of semantic-text-splitter.

The library, its vocabulary (0.1 s, 45 MB) and all counting stay off the event loop, and out of a process that
meets no long text. The actions decide what becomes of the parts. The windows around the library are ours, since
the library takes no limit of time and cannot be stopped (`_WINDOW`).
"""

import asyncio
import time
from typing import Final

from sidecar.core.late_pattern import late_pattern

VOCABULARY: Final = "gpt-4o"
MARGIN: Final = 0.8
"""The share of a limit filled by our count: other models' vocabularies make more tokens of the same text."""
_AT_ONCE: Final = 2
"""Texts counted at once; the default thread pool serves name resolution too and must not fill up with counting."""
_HOP: Final = 0.1
"""Seconds after which a thread comes back, so that a cancelled request is noticed and others get a turn."""
_WINDOW: Final = 12
"""Characters looked at for each token of a part. The library's time grows with the square of a run without borders
(4 MB of Chinese: 16 s, of one letter: minutes), so the library sees a window of a few parts of a long text."""

_TEXT: Final = late_pattern(r"\S")
_BLANK_LINES: Final = late_pattern(r"(?<=[\r\n]{6})[\r\n]+")
"""To the library every length of a run of line ends is a level of its own, and a thousand levels take minutes."""


class Splitter:
    """Counts with `VOCABULARY`, whatever the provider's model. May be shared; belongs to one event loop."""

    def __init__(self, *, at_once: int = _AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        """Return `text` whole where it has at most `fits` tokens, else its parts of at most `tokens` each, in order.

        Only white space between parts is lost. A character that has more tokens than the limit stays whole.
        """
        if _surely_fits(text, fits):
            return [text]
        room, size = _filled(fits), len(text)
        if size <= _window(room) and await self._whole(text, room):
            return [text]
        parts: list[str] = []
        place = 0
        while place < size:
            async with self._turns:
                found, place = await asyncio.to_thread(_advance, text, place, _filled(tokens))
            parts += found
        return parts or [text]

    async def _whole(self, text: str, room: int) -> bool:
        async with self._turns:
            return len(await asyncio.to_thread(_chunks, text, room)) <= 1


def _surely_fits(text: str, fits: int) -> bool:
    """Return whether a text needs no count: a token is at least a byte."""
    return len(text) <= fits and (text.isascii() or len(text.encode("utf-8", "surrogatepass")) <= fits)


def _filled(tokens: int) -> int:
    return max(1, int(tokens * MARGIN))


def _window(room: int) -> int:
    return _WINDOW * room + 64


def _advance(text: str, place: int, room: int) -> tuple[list[str], int]:
    """Return the parts from `place` on that one hop has time for, and the place after the last of them."""
    parts: list[str] = []
    until = time.monotonic() + _HOP
    while time.monotonic() < until:
        start = _TEXT.search(text, place)
        if start is None:
            return parts, len(text)
        found, place = _window_parts(text, start.start(), room)
        parts += found
    return parts, place


def _window_parts(text: str, place: int, room: int) -> tuple[list[str], int]:
    end = place + _window(room)
    if end < len(text):
        # Where the window happens to end is no border: its last part is left for the next window to begin with.
        end = _border(text, place, end)
    window = text[place:end]
    chunks = _chunks(window, room)
    if not chunks:  # what the library holds for white space and Python does not
        return [window], end
    if end < len(text) and len(chunks) > 1:
        end = place + chunks.pop()[0]
    return [window[start : start + size] for start, size in chunks], end


def _border(text: str, place: int, end: int) -> int:
    """Return the last white space in the final quarter of a window, or else the window's end.

    The border matters for the rare text of so few tokens that a window is one part.
    """
    found = max(text.rfind(space, end - (end - place) // 4, end) for space in (" ", "\n"))
    return found if found > place else end


def _chunks(text: str, room: int) -> list[tuple[int, int]]:
    """Return where the parts of `text` start and how long they are, in characters; in a thread, without the GIL."""
    # Late: a process that meets no long text must not pay for the library and its vocabulary.
    from semantic_text_splitter import TextSplitter  # noqa: PLC0415

    # The library loads a vocabulary once a process; building a splitter on it afterwards costs 10 µs.
    splitter = TextSplitter.from_tiktoken_model(VOCABULARY, room)
    # What is counted has the same length as the text: places in one are places in the other.
    countable = text.encode("utf-8", "replace").decode()  # lone surrogates are no UTF-8
    countable = _BLANK_LINES.sub(lambda run: " " * len(run[0]), countable)
    return [(start, len(part)) for start, part in splitter.chunk_indices(countable)]
