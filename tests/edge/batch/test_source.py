"""Files of lines: the same lines as from a pipe, again and again, and nothing that came later."""

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import TooLarge
from sidecar.runtime.line_source import Source, opened
from sidecar.runtime.lines import LineSplitter


def split(data: bytes, longest: int) -> list[bytes | None]:
    """What stdio makes of the same bytes; None is a line that is too long."""
    splitter = LineSplitter(longest)
    lines: list[bytes | None] = []
    splitter.feed(data)
    splitter.end()
    while True:
        try:
            line = splitter.take()
        except TooLarge:
            lines.append(None)
            continue
        if line is None:
            return lines
        lines.append(line)


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bb", b" ", b"\xef\xbb\xbf", b"c" * 5])).map(b"".join))
def test_a_file_has_the_lines_that_a_pipe_has(data: bytes) -> None:
    """Ends, blanks, marks and lengths as on stdin, and twice the same."""
    source = Source(io.BytesIO(data), 4)
    for _ in range(2):
        assert [None if line.fault else line.text for line in source.lines()] == split(data, 4)


def test_lines_are_numbered_as_editors_do() -> None:
    """Blank and too long ones count."""
    source = Source(io.BytesIO(b"\na\n" + b"x" * 100 + b"\n\r\nb"), 10)
    assert [(line.number, line.text) for line in source.lines()] == [(2, b"a"), (3, b""), (5, b"b")]


def test_what_is_appended_later_does_not_belong(tmp_path: Path) -> None:
    """A process that still writes to the file makes no difference between two readings."""
    path = tmp_path / "in"
    path.write_bytes(b"a\nb")
    with opened(str(path), 10) as source:
        with path.open("ab") as file:
            file.write(b"bb\nc\n")
        assert [line.text for line in source.lines()] == [b"a", b"b"]


def test_what_can_be_read_once_is_read_twice(tmp_path: Path) -> None:
    """A pipe is spooled, and nothing of it is left lying about."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a\nb\n",))
    writer.start()
    with opened(str(path), 10) as source:
        for _ in range(2):
            assert [line.text for line in source.lines()] == [b"a", b"b"]
    writer.join()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    """The operating system's."""
    with pytest.raises(OSError, match=r"No such|directory"), opened(str(tmp_path / name), 10):
        raise AssertionError
