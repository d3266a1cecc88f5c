"""Policies by `?action=` of an address: the class of its requests, and whether identical ones may share a call.

A policy leaves the request to the provider unchanged.
"""

from collections.abc import Mapping
from typing import Final

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Treatment of the requests of one action."""

    action: str
    """Its name in the log."""
    shared: bool = False
    """Identical requests of several users may share an answer."""
    background: bool = False
    """Interactive requests go first."""
    spaced: bool = False
    """A space goes after each `<` of the answer: Moodle refuses a generated text that looks like markup."""


PLAIN: Final = Policy(action="completion")
"""Policy without an action, or with an unknown one."""

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
    """Return the policy that `?action=` names."""
    return POLICIES.get(action.strip().lower(), PLAIN)
