"""Promises of cutting lines: whatever the chunks, the same lines; never more held than allowed."""

from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.errors import TooLarge
from sidecar.runtime.lines import LineSplitter

LIMIT = 8
LONG = "too large"
TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b" ", b"\0", b"\xef\xbb\xbf", b"\xff", b"x" * 9]))


def split(chunks: Iterable[bytes], *, limit: int = LIMIT) -> list[bytes | str]:
    """What comes out when each line is taken as soon as it is there."""
    splitter = LineSplitter(limit)
    found: list[bytes | str] = []

    def drain() -> None:
        while True:
            try:
                line = splitter.take()
            except TooLarge:
                found.append(LONG)
                continue
            if line is None:
                return
            found.append(line)

    for chunk in chunks:
        splitter.feed(chunk)
        drain()
        assert splitter.held <= limit + 1
    splitter.end()
    drain()
    assert splitter.held == 0
    return found


def expected(text: bytes) -> list[bytes | str]:
    """The plain way, with everything in memory."""
    found: list[bytes | str] = []
    for raw in text.split(b"\n"):
        line = raw.removesuffix(b"\r")
        if len(line) > LIMIT:
            found.append(LONG)
        elif line.removeprefix(b"\xef\xbb\xbf").strip():
            found.append(line)
    return found


@given(TEXT, st.lists(st.integers(1, 12)))
@example([b"x" * 9, b"\n", b"a"], [3, 3, 3, 1])
@example([b"x" * 8, b"\r\n"], [9, 1])
@example([b"x" * 9], [9])
def test_any_chunking_gives_the_same_lines(parts: list[bytes], cuts: list[int]) -> None:
    """Where a chunk ends means nothing."""
    text, chunks, start = b"".join(parts), [], 0
    for size in cuts:
        chunks.append(text[start : start + size])
        start += size
    chunks.append(text[start:])
    assert split(chunks) == expected(text)


def test_the_last_line_needs_no_end() -> None:
    """`printf '{}' | …` is served too."""
    assert split([b"a\nb"]) == [b"a", b"b"]


def test_crlf_and_blank_lines_and_a_lone_mark_are_no_lines() -> None:
    """What editors and shells leave between and before the lines is skipped."""
    assert split([b"\xef\xbb\xbf\r\n\r\n  \t\n\r\na\r\n\n"]) == [b"a"]


def test_the_longest_line_is_taken_with_either_end() -> None:
    """The limit counts the line and not its end."""
    assert split([b"12345678\n", b"12345678\r\n", b"12345678"]) == [b"12345678"] * 3


def test_a_line_too_long_is_named_once_and_the_next_is_served() -> None:
    """One line that is too long costs itself alone."""
    assert split([b"x" * 5000, b"x" * 5000, b"x\nok\n", b"y" * 9]) == [LONG, b"ok", LONG]


def test_a_line_too_long_is_not_held() -> None:
    """A gigabyte without a line end takes no memory."""
    splitter = LineSplitter(1000)
    for _ in range(100):
        splitter.feed(b"x" * 65536)
        assert splitter.take() is None
        assert splitter.held == 0


def test_many_lines_in_one_chunk_come_one_by_one() -> None:
    """Taking a line leaves the rest where it is."""
    splitter = LineSplitter(100)
    splitter.feed(b"a\n" * 30_000)
    for left in range(59_998, -1, -2):
        assert splitter.take() == b"a"
        assert splitter.held == left
