"""Progress of a rehearsal on stderr: one line redrawn on a terminal, else a line every ten seconds."""

import os
from typing import Final

from sidecar.cli.progress import Progress
from sidecar.rehearse.drive import Log

_EVERY: Final = 10.0
"""Seconds between two lines where stderr is no terminal."""
_USUAL: Final = 80
"""Columns of a terminal that does not say how many it has."""


class LiveLine:
    """Line that shows a class of `total` clicks."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._next = _EVERY
        self._shown = 0
        """Columns that the line has on the terminal now."""

    def show(self, log: Log, seconds: float) -> None:
        """Show the class, `seconds` after its start."""
        if self._progress.visible:
            room = _columns() - 1
            forms = self._forms(log, seconds)
            self._draw(next((form for form in forms if len(form) <= room), forms[-1])[:room])
        elif seconds >= self._next:
            self._next += _EVERY
            self._progress.say(self._forms(log, seconds)[0])

    def close(self) -> None:
        """Remove the line."""
        if self._progress.visible:
            self._draw("")
            self._progress.write("\r")

    def _draw(self, line: str) -> None:
        # Written over with spaces, since not every terminal takes the sequence that clears a line.
        self._progress.write("\r" + line.ljust(self._shown))
        self._shown = len(line)

    def _forms(self, log: Log, seconds: float) -> tuple[str, str, str]:
        """Return the line in three lengths. The shortest begins with what matters in a burst and has no zeros."""
        counts = log.counts
        ended = len(log.clicks) - counts["unfinished"]
        late, errors = counts["late"], counts["error"]
        most = f"{counts['answered']:,} answered, {counts['refused']:,} refused"
        bad = {"waiting": log.waiting, "refused": counts["refused"], "late": late, "errors": errors}
        few = ", ".join(f"{count:,} {name}" for name, count in bad.items() if count)
        end = f"{errors:,} errors, {log.waiting:,} waiting"
        return (
            f"{seconds:5.1f} s  {ended:,} of {self._total:,} clicks ended: {most}, {late:,} too late, {end}",
            f"{seconds:5.1f} s  {ended:,}/{self._total:,}: {most}, {late:,} late, {end}",
            f"{seconds:5.1f} s  {ended:,}/{self._total:,}" + (f": {few}" if few else ""),
        )


def _columns() -> int:
    """Return the columns of the terminal that stderr is, whatever stdout is."""
    try:
        return os.get_terminal_size(2).columns or _USUAL
    except OSError:
        return _USUAL
