"""Becomes another program that ends with whoever started it: `tether.py PARENT SIGNAL LOCK PROGRAM [WORD …]`.

A file of the standard library's alone, run as a script: code between fork and exec of a process with threads may hang,
and this stands in for it. LOCK is a file that the program then holds locked for as long as it lives, or blank.
"""

import ctypes
import fcntl
import os
import signal
import sys
from typing import Final

TAKEN: Final = 75
"""The exit code where another program holds LOCK (EX_TEMPFAIL)."""
ORPHAN: Final = 76
"""The exit code where the parent was gone already."""
_PR_SET_PDEATHSIG: Final = 1  # prctl(2); it outlives exec


def main(words: list[str]) -> int:
    """Only comes back where the program could not be started."""
    parent, number, lock, program, *more = words
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent):
        return ORPHAN
    # What is still ignored or blocked here would stay so in the program.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if lock:
        os.umask(0o077)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TAKEN
        os.set_inheritable(descriptor, True)
    return os.execv(program, [program, *more])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
