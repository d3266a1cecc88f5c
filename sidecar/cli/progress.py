"""What the commands for many requests say on stderr: lines, and a bar where that is a terminal.

Nothing here goes to stdout, which has replies and nothing else.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NoReturn

from sidecar.cli.flags import PROGRAM
from sidecar.config.settings import Settings
from sidecar.core.command_line import BAD_CONFIGURATION
from sidecar.runtime.line_source import Source, opened
from sidecar.runtime.log import Unbuffered, configure

if TYPE_CHECKING:
    from tqdm import tqdm

FAULT: Final = 1
"""The exit code where some of it failed."""
INTERRUPTED: Final = 130
"""The one of a process that SIGINT ended, as shells know it."""


class Progress:
    """Stderr of `command`."""

    def __init__(self, command: str) -> None:
        self.wanted = _is_terminal()
        """Whether anybody sees a bar."""
        self._name = command
        self._bar: tqdm[NoReturn] | None = None
        self._stderr = Unbuffered()

    @contextlib.contextmanager
    def expecting(self, total: int) -> Iterator[None]:
        """Show how many of `total` are done, for the `with` block."""
        if not self.wanted:
            yield
            return
        # Late: nobody but a terminal pays for it. A plain lock, and no thread beside: one process, one bar.
        from threading import RLock  # noqa: PLC0415

        from tqdm import tqdm  # noqa: PLC0415

        tqdm.set_lock(RLock())
        tqdm.monitor_interval = 0
        bar = self._bar = tqdm(total=total, desc=self._name, file=sys.stderr, dynamic_ncols=True, unit="line")
        try:
            yield
        finally:
            bar.close()
            self._bar = None

    def step(self, count: int = 1) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def say(self, text: str) -> None:
        self.write(f"{PROGRAM} {self._name}: {text}\n")

    def write(self, text: str) -> int:
        """Whole lines, above the bar where there is one."""
        if self._bar is None:
            return self._stderr.write(text)
        with self._bar.external_write_mode(file=sys.stderr):
            return self._stderr.write(text)

    def log(self, settings: Settings) -> None:
        """Let events be said here too, as the settings want them."""
        configure(_Log(self), level=settings.log_level, as_json=settings.log_format == "json")


class _Log(io.TextIOBase):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def write(self, text: str) -> int:
        return self._progress.write(text)


def reading(path: str, longest: int, progress: Progress, work: Callable[[Source], int]) -> int:
    """What `work` makes of the file at `path`, whose lines have `longest` bytes at most; an exit code."""
    try:
        with opened(path, longest) as source:
            return work(source)
    except OSError as exc:
        progress.say(f"{path}: {exc.strerror or exc}")
        wrong = isinstance(exc, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError)
        return BAD_CONFIGURATION if wrong else FAULT
    except KeyboardInterrupt:
        return INTERRUPTED


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # closed from the start
        return False
