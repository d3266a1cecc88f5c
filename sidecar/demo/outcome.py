"""Outcome of one admitted call: its delay, and the fault injected into it. No I/O and no clock here."""

import random
from collections import OrderedDict
from typing import Final

import msgspec

from sidecar.demo.options import Cut, Garbage, Options

_FIRST_CALLS_REMEMBERED: Final = 4096
"""Most distinct texts that `fail_first` counts calls of; beyond that the oldest is forgotten."""


class Fate(msgspec.Struct, frozen=True):
    """Delay of one admitted call, and the fault injected into it."""

    delay: float
    """Seconds before the answer or the fault."""
    status: int | None = None
    stall: bool = False
    cut: Cut | None = None
    garbage: Garbage | None = None


class Dice:
    """Random source of fates. The same seed and the same order of calls give the same fates."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311 - rehearsals must repeat, and no secret depends on it
        self._failed_calls = 0
        self._failed_texts: OrderedDict[int, int] = OrderedDict()

    def fate(self, options: Options, *, text: str | None = None) -> Fate:
        """Return the fate of one call; `text` is given where the request itself came with `fail_first`."""
        dice = self._random
        if options.seed != self.seed:  # a seed from one request must not disturb the common dice
            dice = random.Random(options.seed)  # noqa: S311
        delay = options.latency
        if options.jitter:
            delay = max(0.0, dice.uniform(delay - options.jitter, delay + options.jitter))
        if options.stall and dice.random() < options.stall:
            return Fate(delay, stall=True)
        if self._fails(options, dice, text):
            return Fate(delay, status=options.status or 500, garbage=options.garbage)
        cut, garbage = options.cut, options.garbage
        if cut and options.cut_share < 1 and dice.random() >= options.cut_share:
            cut = None
        if garbage and options.garbage_share < 1 and dice.random() >= options.garbage_share:
            garbage = None
        return Fate(delay, cut=cut, garbage=garbage)

    def _fails(self, options: Options, dice: random.Random, text: str | None) -> bool:
        if options.fail_first and self._count_first(options.fail_first, text):
            return True
        if options.fail is not None:
            return dice.random() < options.fail
        return options.status is not None and not options.fail_first

    def _count_first(self, limit: int, text: str | None) -> bool:
        if text is None:
            self._failed_calls += 1
            return self._failed_calls <= limit
        key = hash(text)
        count = self._failed_texts.pop(key, 0) + 1
        self._failed_texts[key] = count
        if len(self._failed_texts) > _FIRST_CALLS_REMEMBERED:
            self._failed_texts.popitem(last=False)
        return count <= limit
