"""Cuts a text where a reader would cut it. Plain text in, plain text out; no tokens, no prompts."""

from typing import Final

from sidecar.core.late_pattern import late_pattern

_NEAR: Final = 200
"""Characters given up at most to end at a word's border; with a short limit a quarter of the limit."""
_CLUSTER: Final = 64
"""Characters looked back at most for the start of a cluster: a run of marks without end is cut anyway."""
_ZWJ: Final = "\u200d"
_FLAG: Final = late_pattern("[\U0001f1e6-\U0001f1ff]")
# What never starts a cluster and is no mark by its Unicode category: joiners, skin tones, tags, low surrogates and
# the vowels and finals of decomposed Hangul.
_JOINS: Final = late_pattern("[\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\udc00-\udfff\u1160-\u11ff]")


def truncate(text: str, limit: int) -> str:
    """Return the first characters of `text`, at most `limit`, cut at a word's border if one is near.

    A cut never parts a cluster; a short text comes back unchanged. `limit` is at least 1, and so is the result's
    length.
    """
    if len(text) <= limit:
        return text
    if text[limit].isspace() and (whole := text[:limit].rstrip()):
        return whole
    for place in range(limit - 1, limit - 1 - min(_NEAR, limit // 4), -1):
        if text[place].isspace() and (whole := text[:place].rstrip()):
            return whole
    for place in range(limit, max(0, limit - _CLUSTER), -1):
        if not _inside(text, place):
            return text[:place]
    return text[:limit]


def _inside(text: str, place: int) -> bool:
    """Return whether a cut at `place` would part what a reader sees as one character."""
    import unicodedata  # noqa: PLC0415 - a shared library that few requests need

    after, before = text[place], text[place - 1]
    if before == _ZWJ or _JOINS.match(after) or unicodedata.category(after).startswith("M"):
        return True
    if before == "\r" and after == "\n":
        return True
    if _FLAG.match(before) and _FLAG.match(after):  # a flag is two letters: parted where an odd number stands before
        start = place
        while start > max(0, place - _CLUSTER) and _FLAG.match(text[start - 1]):
            start -= 1
        return (place - start) % 2 == 1
    return False
