"""Numbers of this process, and of serving processes under it, from /proc.

prometheus_client's own collector lists the descriptors one by one: 27 ms with 5,500 of them.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.metrics import families
from sidecar.metrics.readings import Reading

_STAT: Final = Path("/proc/self/stat")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_AFTER_NAME: Final = 3
"""Number in proc(5) of the first field of `stat` behind the program's name, which may hold any character."""
_USER, _SYSTEM, _START, _PAGES = (number - _AFTER_NAME for number in (14, 15, 22, 24))


class _Process(NamedTuple):
    cpu: float
    resident: int
    started: float
    opened: int


def process_readings(children: Sequence[int] = ()) -> Iterator[Reading]:
    """Yield CPU, memory, start and descriptors, with those of `children`; nothing where there is no /proc."""
    try:
        own = _process(_STAT, _DESCRIPTORS)
    except OSError:
        return
    living, ended = [own], 0.0
    for child in children:
        with contextlib.suppress(OSError):  # it has just ended
            living.append(_process(Path(f"/proc/{child}/stat"), Path(f"/proc/{child}/fd")))
    if children:  # what ended stays counted: a counter never falls
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = used.ru_utime + used.ru_stime
    yield Reading(families.CPU, (), ended + sum(one.cpu for one in living))
    yield Reading(families.RESIDENT, (), sum(one.resident for one in living))
    yield Reading(families.STARTED, (), own.started)
    yield Reading(families.OPEN_FILES, (), max(one.opened for one in living))
    yield Reading(families.MOST_FILES, (), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


@cache
def _booted() -> float:
    """Return the boot in seconds since 1970, once: a value that moved with the clock would look like a restart.

    /proc/stat has it too, but not inside a unit with ProcSubset=pid.
    """
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _process(stat: Path, descriptors: Path) -> _Process:
    fields, ticks = stat.read_bytes().rpartition(b")")[2].split(), os.sysconf("SC_CLK_TCK")
    return _Process(
        cpu=(int(fields[_USER]) + int(fields[_SYSTEM])) / ticks,
        resident=int(fields[_PAGES]) * resource.getpagesize(),
        started=_booted() + int(fields[_START]) / ticks,
        # The number of open descriptors: Linux 6.2 and later has it as the folder's size.
        opened=descriptors.stat().st_size or sum(1 for _ in descriptors.iterdir()),
    )
