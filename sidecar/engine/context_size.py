"""Sizes of the models' contexts: CONTEXT_TOKENS until a refusal of a model teaches a smaller one for that model."""

from collections.abc import Callable, Iterable
from typing import Final

from sidecar.core import events
from sidecar.core.errors import ContextExceeded
from sidecar.core.reach import Reach

LEAST: Final = 512
"""Tokens below which a call has no room for its instructions and an answer."""


class ContextSizes:
    """Sizes of the models' contexts in tokens, as far as they were learned. `models` names the models of a reach."""

    def __init__(self, models: Callable[[Reach], Iterable[str]]) -> None:
        self._models = models
        self._learned: dict[str, int] = {}

    def of(self, reach: Reach) -> "ContextSize":
        """Return the size that fits each model which may get a text of this reach."""
        return ContextSize(self._learned, lambda: self._models(reach))


class ContextSize:
    """Smallest context of the models of one reach."""

    def __init__(self, learned: dict[str, int], models: Callable[[], Iterable[str]]) -> None:
        self._learned = learned
        self._models = models

    def room(self, configured: int) -> int:
        """Return the tokens that one call may take: `configured`, or the least that was learned if that is less."""
        return min([configured, *(self._learned.get(model, configured) for model in self._models())])

    def exceeded(self, failure: ContextExceeded, tried: int) -> bool:
        """Learn from the refusal of a text cut for `tried` tokens; return whether a smaller size is worth a try."""
        if self.room(tried) < tried:
            return True  # another request learned it meanwhile
        named = failure.limit or 0
        # A refusal at the size it names means that the model makes more tokens of the text than our count.
        size = named if LEAST <= named < tried else tried * 3 // 4
        if size < LEAST:
            return False
        self._learned[failure.model] = min(size, self._learned.get(failure.model, size))
        shown = {"model": failure.model} if failure.model else {}
        events.warning("context_learned", tokens=size, instead_of=tried, setting="CONTEXT_TOKENS", **shown)
        return True
