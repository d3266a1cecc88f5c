"""Nearest known name to a misspelled one, for commands, flags and variables.

Plain edit distance: difflib costs a one-shot process some milliseconds.
"""

from collections.abc import Collection
from typing import Final

LONGEST = 60
"""Characters of a name that are compared."""
FLAGS_OF_OTHERS: Final = {
    "-p": "--port",
    "--api-base": "--base-url",
    "--api-url": "--base-url",
    "--bind": "--host",
    "--debug": "--log-level",
    "--endpoint": "--base-url",
    "--http": "--http-mode",
    "--key": "--api-key",
    "--listen": "--host",
    "--log": "--log-level",
    "--redis": "--redis-url",
    "--serve": "--http-mode",
    "--timeout": "--request-timeout",
    "--token": "--sidecar-token",
    "--tokens": "--tokens-file",
    "--url": "--base-url",
    "--verbose": "--log-level",
    "--workers": "--processes",
}
"""Flags of other tools, and the sidecar's for the same."""


def nearest(written: str, known: Collection[str], *, far: bool = False) -> str:
    """Return the known name that was probably meant; blank for none.

    Case, `_` and `-` count for nothing. One slip is allowed from five letters on, two from ten on. With `far` the
    written name may also end in a known one, or differ in a quarter of its letters.
    """
    own = _letters(written)
    found = sorted((_distance(own, _letters(name)), name) for name in known)
    if not found or not own:
        return ""
    slips, name = found[0]
    if slips <= (0 if len(own) < 5 else 1 if len(own) < 10 else 2):
        return name
    if not far:
        return ""
    ends = [name for name in known if len(_letters(name)) >= 4 and own.endswith(_letters(name))]
    if ends:
        return max(ends, key=len)
    return name if slips <= len(own) // 4 else ""


def _letters(name: str) -> str:
    return name[:LONGEST].upper().replace("_", "").replace("-", "")


def _distance(left: str, right: str) -> int:
    """Return the least number of letters added, dropped, changed or swapped with their neighbour."""
    before, row = [0] * (len(right) + 1), list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
