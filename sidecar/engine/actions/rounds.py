"""Rounds: the provider calls a request makes one after another, as far as its length tells; admission's estimate."""

import math
from typing import Final

from sidecar.core.contract import Request
from sidecar.engine.actions.limits import Limits
from sidecar.engine.actions.summarize import AT_ONCE

_CHARACTERS_A_TOKEN: Final = 4
"""Of English. Other languages have more tokens, and so more parts: the estimate errs to admission."""


def rounds(request: Request, limits: Limits) -> int:
    """Return the provider calls that must follow each other before `request` is answered."""
    if request.action != "summarize":
        return 1  # a chat goes on without its context's summary, if need be
    tokens = len(request.content) / _CHARACTERS_A_TOKEN
    if tokens <= limits.context_tokens:
        return 1
    parts = tokens / (limits.context_tokens * 3 / 4)
    return math.ceil(parts / AT_ONCE) + 1
