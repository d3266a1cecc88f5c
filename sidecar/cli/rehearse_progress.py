"""Progress of a rehearsal on stderr: one line redrawn on a terminal, else a line every ten seconds."""

import shutil
from typing import Final

from sidecar.cli.progress import Progress
from sidecar.rehearse.drive import Log

_EVERY: Final = 10.0
"""Seconds between two lines where stderr is no terminal."""
_CLEAR: Final = "\r\x1b[K"


class LiveLine:
    """Line that shows a class of `total` clicks."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._next = _EVERY

    def show(self, log: Log, seconds: float) -> None:
        """Show the class, `seconds` after its start."""
        if self._progress.visible:
            width = shutil.get_terminal_size().columns
            self._progress.write(_CLEAR + self._line(log, seconds)[: width - 1])
        elif seconds >= self._next:
            self._next += _EVERY
            self._progress.say(self._line(log, seconds))

    def close(self) -> None:
        """Remove the line."""
        if self._progress.visible:
            self._progress.write(_CLEAR)

    def _line(self, log: Log, seconds: float) -> str:
        counts = log.counts
        ended = len(log.clicks) - counts["unfinished"]
        return (
            f"{seconds:5.1f} s  {ended:,} of {self._total:,} clicks ended: {counts['answered']:,} answered, "
            f"{counts['refused']:,} refused, {counts['late']:,} too late, {counts['error']:,} errors; "
            f"{log.waiting:,} waiting"
        )
