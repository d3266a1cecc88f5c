"""Promises of standard error: it never waits, drops whole lines only, counts them, and leaves the descriptor alone."""

import asyncio
import fcntl
import json
import logging
import os
import pty
import socket
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.core import events
from sidecar.runtime.log import configure
from sidecar.runtime.stderr import NonblockingStderr, polled

LINE = "a line of the log, forty characters long\n"


class Reader:
    """Both ends of something that lines are written to."""

    def __init__(self, read: int, write: int) -> None:
        self.read = read
        self.write = write
        self.stderr = NonblockingStderr(write)

    def all(self) -> bytes:
        """Return what can be read now."""
        os.set_blocking(self.read, False)
        found = b""
        try:
            while data := os.read(self.read, 65536):
                found += data
        except BlockingIOError:
            pass
        return found


@pytest.fixture(params=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Reader]:
    match request.param:
        case "pipe":
            read, write = os.pipe()
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        case "socket":
            read, write = (end.detach() for end in socket.socketpair())
        case _:
            read, write = pty.openpty()
            raw = termios.tcgetattr(write)
            raw[1] &= ~termios.OPOST
            termios.tcsetattr(write, termios.TCSANOW, raw)
    made = Reader(read, write)
    yield made
    made.stderr.close()
    os.close(read)
    os.close(write)


def test_lines_that_do_not_fit_are_dropped_whole(ends: Reader) -> None:
    """What was begun is finished by the next write that can; a dropped line leaves no piece behind."""
    stderr, written = ends.stderr, 0
    while stderr.write_line(LINE):
        written += 1
    assert not stderr.write_line(LINE)
    assert stderr.lost == 2
    first = ends.all()
    assert stderr.write_line("the end\n")
    assert (first + ends.all()).decode() == LINE * written + "the end\n"


def test_the_shared_descriptor_stays_blocking(ends: Reader) -> None:
    """Parent and children write to the same descriptor and may count on it to wait."""
    ends.stderr.write_line(LINE)
    assert os.get_blocking(ends.write)


def test_a_pipe_of_another_user_is_polled_first() -> None:
    """Where the pipe cannot be opened anew, no write begins that would wait."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    sink = polled(write)
    assert sink(b"x" * 4096) == 4096
    with pytest.raises(BlockingIOError):
        sink(b"x")
    os.close(read)
    with pytest.raises(BrokenPipeError):
        sink(b"x")
    os.close(write)


def test_a_file_is_written_on_where_it_stands(tmp_path: Path) -> None:
    """A file that the shell opened for several commands keeps what the others wrote."""
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b"of another command\n")
        assert NonblockingStderr(file.fileno()).write_line(LINE)
    assert (tmp_path / "log").read_text() == f"of another command\n{LINE}"


def test_a_reader_that_is_gone_costs_nothing() -> None:
    """The service outlives its log."""
    read, write = os.pipe()
    os.close(read)
    NonblockingStderr(write).write_line(LINE)
    os.close(write)


@pytest.fixture
def restored() -> Iterator[None]:
    """The loggers as they were."""
    root, ours = logging.getLogger(), events.LOGGER
    before = (root.handlers[:], root.level, ours.handlers[:], ours.propagate, ours.level)
    yield
    root.handlers[:], root.level, ours.handlers[:], ours.propagate, ours.level = before


@pytest.mark.usefixtures("restored")
def test_the_next_line_that_fits_tells_how_many_were_lost(ends: Reader) -> None:
    """Operators see the gap; the count holds every line that is missing."""
    configure(ends.stderr, level="info", as_json=True)
    said = 5000
    for number in range(said):
        events.info("answered", number=number)
    seen = ends.all()
    events.info("answered", number=said)
    seen += ends.all()
    lines = [json.loads(line) for line in seen.splitlines()]
    numbers = [line["number"] for line in lines if line["event"] == "answered"]
    lost = sum(line["lines"] for line in lines if line["event"] == "lines_lost")
    assert numbers == sorted(numbers)
    assert numbers[-1] == said
    assert lost == said + 1 - len(numbers)


@pytest.mark.usefixtures("restored")
async def test_the_lines_of_one_turn_are_written_together(ends: Reader) -> None:
    """They are there at the turn's end, a warning at once with those before it, and all in their order."""
    configure(ends.stderr, level="info", as_json=True)
    events.info("first")
    events.info("second")
    assert ends.all() == b""
    events.warning("third")
    assert [json.loads(line)["event"] for line in ends.all().splitlines()] == ["first", "second", "third"]
    events.info("fourth")
    await asyncio.sleep(0)
    assert json.loads(ends.all())["event"] == "fourth"


@pytest.mark.usefixtures("restored")
async def test_lines_written_together_are_counted_one_by_one(ends: Reader) -> None:
    """What is lost of a turn's lines is lost whole, and the next notice has their number."""
    configure(ends.stderr, level="info", as_json=True)
    said = 2000
    for number in range(said):
        events.info("answered", number=number)
        if number % 40 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    first = ends.all()
    events.info("after")
    await asyncio.sleep(0)
    found = [json.loads(line) for line in (first + ends.all()).splitlines()]
    numbers = [line["number"] for line in found if line["event"] == "answered"]
    lost = sum(line["lines"] for line in found if line["event"] == "lines_lost")
    assert lost > 0
    assert len(numbers) + lost == said
    assert numbers == sorted(numbers)
    assert found[-1]["event"] == "after"
