"""Promises of the limit on processes at work: kept, fair, and freed by the kernel whatever ends a process."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar.stdio.process_limit import Place, hold_place
from tests.support.paths import ROOT

PATIENCE = 20.0
HOLD = """
import sys
from sidecar.stdio.process_limit import hold_place
place = hold_place(int(sys.argv[1]), float(sys.argv[2]), name=sys.argv[3])
print("none" if place is None else "held", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract socket names are Linux's")


@pytest.fixture
def name() -> str:
    """Places that no other test and no process of this machine knows."""
    return f"sidecar-test-{os.urandom(8).hex()}"


@contextlib.contextmanager
def process(limit: int, wait: float, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that takes a place and keeps it until its input ends."""
    words = [sys.executable, "-c", HOLD, str(limit), str(wait), name]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def said(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


class Waiter:
    """A thread that waits for a place and remembers in which order places were given."""

    def __init__(self, who: str, order: list[str], name: str, *, limit: int = 1, wait: float = PATIENCE) -> None:
        self.place: Place | None = None

        def run() -> None:
            self.place = hold_place(limit, wait, name=name)
            order.append(who if self.place is not None else f"{who} gave up")

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def done(self) -> "Waiter":
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self

    def release(self) -> None:
        assert self.place is not None
        self.place.release()


def in_line(name: str) -> int:
    """How many hold the line's name or are connected to it."""
    return Path("/proc/net/unix").read_text().count(f"@{name}/line")


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        os.sched_yield()


def test_no_more_than_the_limit_work(name: str) -> None:
    """The third of two has no place; a place given back is free."""
    first, second = hold_place(2, 0, name=name), hold_place(2, 0, name=name)
    assert first is not None
    assert second is not None
    assert hold_place(2, 0, name=name) is None
    first.release()
    third = hold_place(2, 0, name=name)
    assert third is not None
    assert hold_place(2, 0, name=name) is None
    second.release()
    third.release()


def test_a_place_that_is_free_is_had_at_once(name: str) -> None:
    """Who need not wait does not."""
    place = hold_place(1, PATIENCE, name=name)
    assert place is not None
    assert place.waited < PATIENCE / 2
    place.release()


def test_a_killed_process_frees_its_place(name: str) -> None:
    """`kill -9` leaves nothing behind that anyone would have to clean up."""
    with process(1, 0, name) as holder:
        assert said(holder) == "held"
        assert hold_place(1, 0, name=name) is None
        holder.kill()
        place = hold_place(1, PATIENCE, name=name)
        assert place is not None
        place.release()


def test_a_place_is_not_inherited(name: str) -> None:
    """A child that outlives its parent keeps no place."""
    place = hold_place(1, 0, name=name)
    assert place is not None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        place.release()
        again = hold_place(1, 0, name=name)
        assert again is not None
        again.release()
        child.communicate()


def test_first_come_first_served(name: str) -> None:
    """Places go to who waits longest, and who comes last cannot slip in."""
    order: list[str] = []
    held = hold_place(1, 0, name=name)
    assert held is not None
    waiters = []
    for number in range(6):
        waiters.append(Waiter(str(number), order, name))
        until(lambda count=number + 1: in_line(name) >= count)  # type: ignore[misc]
    held.release()
    for waiter in waiters:
        waiter.done().release()
    assert order == ["0", "1", "2", "3", "4", "5"]


def test_who_gives_up_does_not_hold_up_those_behind(name: str) -> None:
    """Neither at the head of the line nor in its middle."""
    order: list[str] = []
    held = hold_place(1, 0, name=name)
    assert held is not None
    waiters = []
    for number, wait in enumerate((0.3, PATIENCE, 0.3, PATIENCE)):
        waiters.append(Waiter(str(number), order, name, wait=wait))
        until(lambda count=number + 1: in_line(name) >= count or bool(order))  # type: ignore[misc]
    waiters[0].done()
    waiters[2].done()
    held.release()
    waiters[1].done().release()
    waiters[3].done().release()
    assert sorted(order[:2]) == ["0 gave up", "2 gave up"]
    assert order[2:] == ["1", "3"]


def test_a_killed_first_in_line_costs_the_others_nothing(name: str) -> None:
    """The line forms again."""
    order: list[str] = []
    held = hold_place(1, 0, name=name)
    assert held is not None
    with process(1, PATIENCE, name) as first:
        until(lambda: in_line(name) >= 1)
        waiters = [Waiter(who, order, name) for who in "ab"]
        until(lambda: in_line(name) >= 3)
        first.kill()
        first.wait(PATIENCE)
        held.release()
        until(lambda: bool(order))
        next(waiter for waiter in waiters if waiter.place is not None).release()
        for waiter in waiters:
            waiter.done().release()
    assert sorted(order) == ["a", "b"]


def test_many_processes_take_turns(name: str) -> None:
    """Thirty processes through three places: all get one, and the waiting wake without being told by us."""
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(process(3, PATIENCE, name)) for _ in range(30)]
        for started in waiting:
            assert started.stdin is not None
            started.stdin.close()
        assert [said(started) for started in waiting] == ["held"] * 30


def test_where_there_are_no_such_names_everyone_works() -> None:
    """A limit that cannot be applied costs no answer."""
    too_long = "x" * 200
    places = [hold_place(1, 0, name=too_long) for _ in range(3)]
    assert None not in places


def test_a_waiting_process_is_small() -> None:
    """It has loaded neither an event loop, nor an HTTP client, nor the engine."""
    code = "import sys, sidecar.cli.main, sidecar.cli.program, sidecar.stdio.process; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "ssl", "http.client", "logging", "sidecar.engine", "sidecar.wiring"}
