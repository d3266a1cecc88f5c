"""Promises of the shared block under real processes that are killed at any point."""

import os
import random
import signal
import subprocess
import sys
import time

from sidecar.processes.block import BYTES, HELD, Block, open_block
from tests.support.paths import ROOT
from tests.support.scale import scaled

PLACES, PROCESSES = 20, 3
CALLER = """
import random, sys
from sidecar.core.errors import Overloaded
from sidecar.processes.admission import SharedAdmission
from sidecar.processes.block import Block
index, fd, places, processes = map(int, sys.argv[1:])
admission = SharedAdmission(Block(fd, processes), index, places=places, size=10_000)
held = []
print("ready", flush=True)
while True:
    try:
        held.append(admission.admit(random.randrange(100), pending=True))
    except Overloaded:
        pass
    if held and random.random() < 0.5:
        admission.release(held.pop(random.randrange(len(held))))
"""
"""A process that takes places and gives them back as fast as it can."""


def start(index: int, fd: int) -> subprocess.Popen[bytes]:
    words = (sys.executable, "-c", CALLER, str(index), str(fd), str(PLACES), str(PROCESSES))
    process = subprocess.Popen(words, cwd=ROOT, pass_fds=(fd,), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def held(block: Block, processes: list[subprocess.Popen[bytes]]) -> int:
    """Return the places taken at one moment: while the processes run, a sum over their rows is of several."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
    found = block.total(HELD)
    for process in processes:
        process.send_signal(signal.SIGCONT)
    return found


def test_no_place_is_lost_and_the_bound_holds_while_processes_are_killed() -> None:
    """Never more than the bound and one for each further process; after the last kill nothing is held."""
    fd = open_block(PROCESSES)
    block, most = Block(fd, PROCESSES), 0
    processes = [start(index, fd) for index in range(PROCESSES)]
    try:
        for _ in range(scaled(3, 200)):
            until = time.monotonic() + random.uniform(0.01, 0.1)
            while time.monotonic() < until:
                most = max(most, held(block, processes))
            index = random.randrange(PROCESSES)
            kill(processes[index])
            block.clear(index)
            processes[index] = start(index, fd)
    finally:
        for process in processes:
            kill(process)
    assert 0 < most <= PLACES + PROCESSES - 1
    for index in range(PROCESSES):
        assert block.rows[index][HELD] <= PLACES
        block.clear(index)
    assert (block.total(HELD), block.total(BYTES)) == (0, 0)
    os.close(fd)
