"""Progress of the commands for many requests on stderr: lines, and a bar if stderr is a terminal.

Stdout is for replies alone.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from sidecar.config.settings import Settings
from sidecar.core.program import BAD_CONFIGURATION, PROGRAM
from sidecar.runtime.line_source import Source, opened
from sidecar.runtime.log import configure
from sidecar.runtime.stderr import NonblockingStderr

if TYPE_CHECKING:
    from tqdm import tqdm

FAULT: Final = 1
"""The exit code if some requests or jobs failed."""
_MOST_HELD: Final = 1000
"""Lines held back while replies are written to a terminal that stands still."""


class Progress:
    """Progress of `command` on stderr."""

    def __init__(self, command: str) -> None:
        self._stderr = NonblockingStderr()
        self.visible = self._stderr.isatty()
        """True if stderr is a terminal, and so shows a bar."""
        self._name = command
        self._bar: tqdm[NoReturn] | None = None
        self._held: list[str] | None = None
        """Lines that wait for the end of replies; None while none are written."""

    @contextlib.contextmanager
    def expecting(self, total: int) -> Iterator[None]:
        """Show the count of `total` that are done, during the `with` block."""
        if not self.visible:
            yield
            return
        # Late: only a terminal pays for the import. One process has one bar: a plain lock and no monitor thread.
        from threading import RLock  # noqa: PLC0415

        from tqdm import tqdm  # noqa: PLC0415

        tqdm.set_lock(RLock())
        tqdm.monitor_interval = 0
        bar = self._bar = tqdm(total=total, desc=self._name, file=self._stderr, dynamic_ncols=True, unit="line")
        try:
            yield
        finally:
            bar.close()
            self._bar = None

    def step(self, count: int = 1) -> None:
        if self._bar is None:
            return
        if self._held is None:
            self._bar.update(count)
        else:
            self._bar.n += count  # the bar is drawn again behind the replies

    def say(self, text: str) -> None:
        self.write(f"{PROGRAM} {self._name}: {text}\n")

    def conclude(self, text: str, *, failed: bool) -> None:
        """Write the last line, below the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self.say(f"FAILED: {text}" if failed else text)

    def write(self, text: str) -> bool:
        """Write whole lines, above the bar if there is one; return False where they were dropped."""
        if self._held is not None and len(self._held) < _MOST_HELD:
            self._held.append(text)
            return True
        if self._bar is None or self._held is not None:
            return self._stderr.write_line(text)
        with self._bar.external_write_mode(file=self._stderr):
            return self._stderr.write_line(text)

    @contextlib.contextmanager
    def aside(self, wire: int) -> Iterator[None]:
        """Take the bar away, and hold lines back, while replies are written to the terminal `wire`."""
        if self._bar is None or self._held is not None or not os.isatty(wire):
            yield
            return
        self._bar.clear()
        held = self._held = []
        try:
            yield
        finally:
            self._held = None
            for text in held:
                self._stderr.write_line(text)
            self._bar.refresh()

    def log(self, settings: Settings) -> None:
        """Send events of the log here too, in the format and from the level of `settings`."""
        configure(_Log(self), level=settings.log_level, as_json=settings.log_format == "json")


class _Log:
    """The log beside a bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.lost = 0

    def write_lines(self, lines: Sequence[str]) -> None:
        self.lost += sum(not self._progress.write(line) for line in lines)


def run_on_file(path: str, longest: int, progress: Progress, work: Callable[[Source], int]) -> int:
    """Run `work` on the file at `path`, whose lines have `longest` bytes at most; return the exit code."""
    try:
        with opened(path, longest) as source:
            return work(source)
    except OSError as exc:
        progress.say(f"{path}: {exc.strerror or exc}")
        wrong = isinstance(exc, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        return BAD_CONFIGURATION if wrong else FAULT
