"""Parser of command lines: reports a mistake in one line and shows no word that may be a key. What commands print.

Each command adds its own flags.
"""

import argparse
import os
import re
import sys
from collections.abc import Collection, Sequence
from typing import Any, Final, NoReturn

from sidecar.core.errors import plain
from sidecar.core.program import BAD_CONFIGURATION

UNWRITTEN: Final = 1
"""The exit code for an output that could not be written."""


def show(text: str, program: str) -> int:
    """Write `text` to standard output; return the exit code, with a line on stderr where that cannot be written.

    A reader that left, as with `| head`, is no fault.
    """
    why: str | None = "it is closed"
    if sys.__stdout__ is not None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as exc:
            # The interpreter's own flush at the end must find something open.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            why = "" if isinstance(exc, BrokenPipeError) else exc.strerror
        else:
            why = ""
    if why and sys.__stderr__ is not None:
        sys.stderr.write(f"{program}: standard output cannot be written ({why})\n")
    return UNWRITTEN if why else 0


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, without the usage before it."""

    def __init__(self, *, commands: Collection[str] = (), **more: Any) -> None:
        self.flags: list[str] = []
        """Known flags, for the hint at a misspelled one. Those of a group of the help are added by hand."""
        self._commands = commands
        super().__init__(**more)

    def add_argument(self, *names: Any, **more: Any) -> argparse.Action:
        self.flags += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_CONFIGURATION, f"{self.prog}: {message}; see --help\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process, once what was printed before is out."""
        super().exit(status or show("", self.prog), message)

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the flags' values by field; end the process at an unknown word.

        An unknown flag is shown by name only: the rest may be a key, as in --openai-api-key=….
        """
        known, rest = self.parse_known_args(words)
        if rest:
            if command := next((word for word in rest if word in self._commands), ""):
                self.error(f"the command {command} goes before every flag, as in {self.prog} {command} --port=8081")
            named = [word.partition("=")[0] for word in rest if word.startswith("--") or re.match("-[a-z](=|$)", word)]
            flags = [self._unknown(flag) for flag in named]
            self.error(f"there is no {', '.join(flags) or 'such command, and no flag that takes such a word'}")
        return vars(known)

    def _unknown(self, flag: str) -> str:
        """Return an unknown flag as it may be shown, with the nearest that there is."""
        from sidecar.core.nearest import FLAGS_OF_OTHERS, nearest  # noqa: PLC0415 - late: only a mistake needs it

        meant = FLAGS_OF_OTHERS.get(flag, "")
        if meant not in self.flags:
            meant = nearest(flag, self.flags, far=True) if len(flag) > 2 else ""  # one letter is near to nothing
        return plain(flag, 50) + (f" (did you mean {meant}?)" if meant else "")
