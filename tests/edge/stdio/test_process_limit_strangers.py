"""Promises against strangers in the line for places: whatever they pass on, a place is had or refused in time."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.stdio.process_limit import hold_place

PATIENCE = 20.0
NOBODY = 65534

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract socket names are Linux's")


@pytest.fixture
def name() -> str:
    """Places that no other test and no process of this machine knows."""
    return f"sidecar-test-{os.urandom(8).hex()}"


def line_of(name: str) -> socket.socket:
    """A socket that listens, and blocks, under the name of the line for one place."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(f"\0{name}/line-1".encode())
    sock.listen()
    return sock


@contextlib.contextmanager
def stranger(line: socket.socket, *passed: int, goes_on: bool = False) -> Iterator[None]:
    """A stranger in front of the line, who passes these descriptors on to the next one and then leaves, or stays."""

    def stand() -> None:
        with contextlib.suppress(OSError), line:
            while True:
                follower, _ = line.accept()
                with follower:
                    socket.send_fds(follower, [b"!"], list(passed))
                if not goes_on:
                    return

    thread = threading.Thread(target=stand, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def taken(name: str, wait: float = PATIENCE) -> bool:
    """Whether a place was had, in time."""
    had: list[bool] = []

    def take() -> None:
        place = hold_place(1, wait, name=name)
        had.append(place is not None)
        if place is not None:
            place.release()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    return had[0]


@pytest.mark.parametrize("kind", ["file", "pipe", "udp", "tcp", "unix", "eight", "none"])
def test_what_is_no_line_is_closed_and_the_place_had(name: str, kind: str) -> None:
    """A file, a pipe, a foreign socket, eight descriptors at once, or none: no traceback, no descriptor left open."""
    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        stack.enter_context(theirs)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        file = stack.enter_context(Path(os.devnull).open("rb"))
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        passed = {
            "file": [file.fileno()],
            "pipe": [reader],
            "udp": [udp.fileno()],
            "tcp": [tcp.fileno()],
            "unix": [ours.fileno()],
            "eight": [tcp.fileno(), reader, writer, file.fileno(), udp.fileno(), ours.fileno(), theirs.fileno(), 0],
            "none": [],
        }[kind]
        line = stack.enter_context(line_of(name))
        before = open_descriptors()
        with stranger(line, *passed):
            assert taken(name)
        assert open_descriptors() == before - 1  # the line's own


def test_a_line_that_blocks_hangs_nobody(name: str) -> None:
    """A socket of the right name, in blocking mode: to look for a follower must not wait for one."""
    line = line_of(name)
    with line.dup() as other, stranger(line, other.fileno()):
        assert taken(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_a_line_of_another_user_is_not_used(name: str) -> None:
    """Its owner could let it block at any time: once that one is gone, the line forms again without it."""
    for stays in (True, False):
        os.seteuid(NOBODY)
        try:
            line = line_of(name)
        finally:
            os.seteuid(0)
        with stranger(line, line.fileno(), goes_on=stays):
            assert taken(name, wait=0.3 if stays else PATIENCE) is not stays


def test_a_stranger_who_stays_costs_a_place_and_never_the_reply(name: str) -> None:
    """Whoever holds the name can keep others out: after the wait they are told that there is no place."""
    with stranger(line_of(name), 0, goes_on=True):
        assert not taken(name, wait=0.3)
