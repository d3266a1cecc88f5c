"""Parser of command lines: reports a mistake in one line and shows no word that may be a key.

Each command adds its own flags. Imports stay few, since a process started for one click loads this file.
"""

import argparse
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from sidecar.core.errors import plain

BAD_CONFIGURATION: Final = 2
"""The exit code for flags and settings that make no sense."""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, without the usage before it."""

    def __init__(self, **more: Any) -> None:
        self.flags: list[str] = []
        """Known flags, for the hint at a misspelled one. Those of a group of the help are added by hand."""
        super().__init__(**more)

    def add_argument(self, *names: Any, **more: Any) -> argparse.Action:
        self.flags += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **more)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_CONFIGURATION, f"{self.prog}: {message}; see --help\n")

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the flags' values by field; end the process at an unknown word.

        An unknown flag is shown by name only: the rest may be a key, as in --openai-api-key=….
        """
        known, rest = self.parse_known_args(words)
        if rest:
            flags = [self._unknown(word.partition("=")[0]) for word in rest if word.startswith("--") or len(word) == 2]
            self.error(f"there is no {', '.join(flags) or 'such command, and no flag that takes such a word'}")
        return vars(known)

    def _unknown(self, flag: str) -> str:
        """Return an unknown flag as it may be shown, with the nearest that there is."""
        from sidecar.core.nearest import nearest  # noqa: PLC0415 - late: only a mistake needs it

        meant = nearest(flag, self.flags, far=True) if len(flag) > 2 else ""
        return plain(flag, 50) + (f" (did you mean {meant}?)" if meant else "")
