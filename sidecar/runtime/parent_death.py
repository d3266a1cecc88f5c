"""Become another program that ends with its parent: `parent_death.py PARENT SIGNAL LOCK PROGRAM [ARGUMENT …]`.

The file imports the standard library alone and runs as a script, in place of code between fork and exec, which may
hang in a process with threads. LOCK is a file that the program then holds locked for its whole life, or blank.
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


def main(arguments: list[str]) -> int:
    """Execute the program; return an exit code only where that failed."""
    parent, number, lock, program, *more = arguments
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != int(parent):
        return ORPHAN
    # Blocked signals would stay blocked in the program.
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
