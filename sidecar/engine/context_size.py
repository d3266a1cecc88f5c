"""The size of the model's context: CONTEXT_TOKENS until a refusal of the provider teaches a smaller one."""

from typing import Final

from sidecar.core import events
from sidecar.core.errors import ContextExceeded

LEAST: Final = 512
"""Tokens below which a call has no room for its instructions and an answer."""


class ContextSize:
    """Size of the configured model's context in tokens, as far as it was learned."""

    def __init__(self) -> None:
        self._learned: int | None = None

    def room(self, configured: int) -> int:
        """Return the tokens that one call may take: `configured`, or what was learned if that is less."""
        return configured if self._learned is None else min(configured, self._learned)

    def exceeded(self, failure: ContextExceeded, tried: int) -> bool:
        """Learn from the refusal of a text cut for `tried` tokens; return whether a smaller size is worth a try."""
        if self.room(tried) < tried:
            return True  # another request learned it meanwhile
        named = failure.limit or 0
        # A refusal at the size it names means that the model makes more tokens of the text than our count.
        size = named if LEAST <= named < tried else tried * 3 // 4
        if size < LEAST:
            return False
        self._learned = size
        events.warning("context_learned", tokens=size, instead_of=tried, setting="CONTEXT_TOKENS")
        return True
