"""How the words of a command line are read: in one line what is wrong, and never a word that may be a key.

Which flags there are, each command says. Imports stay few: this is on the path of a process started for one click.
"""

import argparse
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from sidecar.core.errors import plain

BAD_CONFIGURATION: Final = 2
"""The exit code for flags and settings that make no sense."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_CONFIGURATION, f"{self.prog}: {message}; see --help\n")

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """What the flags say, by field; ends the process where a word is unknown.

        Unknown flags are shown by name only: the rest may be a key, as in --openai-api-key=….
        """
        known, rest = self.parse_known_args(words)
        if rest:
            flags = [plain(word.partition("=")[0], 50) for word in rest if word.startswith("--") or len(word) == 2]
            self.error(f"there is no {', '.join(flags) or 'such command, and no flag that takes such a word'}")
        return vars(known)
