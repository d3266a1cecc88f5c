"""First word of the command line that is no command: what to write instead."""

import re
from collections.abc import Collection
from typing import Final

from sidecar.core.nearest import nearest

_SERVING: Final = frozenset({"serve", "server", "start", "run", "http", "up", "daemon"})
_HEALTH: Final = frozenset({"health", "healthcheck", "check", "status", "ping"})
_FLAGS: Final = frozenset({"help", "version"})
_WORD: Final = re.compile("[a-z][a-z-]{0,19}")


def advice(word: str, commands: Collection[str]) -> str:
    """Return a sentence for a word that is no command. Only a word that cannot be a key is shown."""
    if not _WORD.fullmatch(word):
        if meant := nearest(word, commands):
            return f"there is no such command; did you mean {meant}?"
        return "there is no such command, and no flag that takes such a word; see --help"
    remedy = f"take --{word}" if word in _FLAGS else "see --help"
    if word in _SERVING:
        remedy = "leave the word out, with --http-mode in its place: serving needs no command"
    elif word in _HEALTH:
        remedy = "take doctor, or call GET /health of a running sidecar"
    elif meant := nearest(word, commands):
        remedy = f"did you mean {meant}?"
    return f"there is no command {word}; {remedy}"
