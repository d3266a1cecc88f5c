"""What an address's `?action=` says of its requests: their class, and whether the same asked by many may be one call.

It never changes what the provider is asked.
"""

from collections.abc import Mapping
from typing import Final

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests of one kind are treated."""

    action: str
    """As the log calls it."""
    shared: bool = False
    """Whether identical requests of several users may have one answer."""
    background: bool = False
    """Whether it gives way to people who wait."""
    spaced: bool = False
    """Whether a space goes after each `<` of the answer: Moodle refuses a generated text that looks like markup."""


PLAIN: Final = Policy(action="completion")
"""Without an action, and with one that is not known."""

_SUMMARIZE: Final = Policy(action="summarize", shared=True)
_EXPLAIN: Final = Policy(action="explain", shared=True)
_ANALYZE: Final = Policy(action="analyze", shared=True)
_GENERATE: Final = Policy(action="generate_text", spaced=True)

POLICIES: Final[Mapping[str, Policy]] = {
    "summarize": _SUMMARIZE,
    "summarise": _SUMMARIZE,
    "summarise_text": _SUMMARIZE,  # Moodle's own names are the ones with _text
    "explain": _EXPLAIN,
    "explain_text": _EXPLAIN,
    "analyze": _ANALYZE,
    "analyse": _ANALYZE,
    "generate_text": _GENERATE,
    "chat": Policy(action="chat"),
    "background": Policy(action="background", background=True),
}


def policy_of(action: str) -> Policy:
    """The policy that `?action=` names."""
    return POLICIES.get(action.strip().lower(), PLAIN)
