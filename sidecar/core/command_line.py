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

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_CONFIGURATION, f"{self.prog}: {message}; see --help\n")

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """Return the flags' values by field; end the process at an unknown word.

        An unknown flag is shown by name only: the rest may be a key, as in --openai-api-key=….
        """
        known, rest = self.parse_known_args(words)
        if rest:
            flags = [plain(word.partition("=")[0], 50) for word in rest if word.startswith("--") or len(word) == 2]
            self.error(f"there is no {', '.join(flags) or 'such command, and no flag that takes such a word'}")
        return vars(known)
