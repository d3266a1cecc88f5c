"""Admission of calls: the day's limit, the minute's buckets and the slots, checked in that order. No I/O.

A call takes from all of them or from none; with `count_refused` a refused call takes from the buckets too.
"""

import asyncio
import functools
import time
from collections.abc import Callable

from sidecar.demo import errors, voices
from sidecar.demo.call import Call, RefusedError
from sidecar.demo.capacity_turns import Turns
from sidecar.demo.limits import Denial, Rates
from sidecar.demo.options import Options
from sidecar.demo.slots import UNLIMITED, Limit, Slots


class Admission:
    """All limits of one demo provider; `options` are the common ones, and a call may come with its own."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options = options
        self._rates = Rates(clock)
        self._turns = Turns(clock)
        self._awaited: set[str] = set()
        """Turns at whose end the queue of calls is checked again."""
        self.slots = Slots(lambda: self._allowed(self._options))

    def change(self, options: Options, *, restart: bool) -> None:
        """Apply other limits from now on; `restart` begins with the first turn."""
        self._options = options
        if restart:
            self._turns.start()
        self.slots.wake()
        self._await_turn(options.slots_by_turns)

    def reset(self, options: Options) -> None:
        """Begin anew; calls that hold a slot keep it."""
        self._rates.reset()
        self.slots.peak = self.slots.in_use
        self.change(options, restart=True)

    def headers(self, options: Options) -> dict[str, str]:
        """Return the headers that every answer carries about the minute's limits; none in a voice without them."""
        return self._rates.headers(options) if options.voice in voices.RATED else {}

    def enter(self, call: Call) -> bool:
        """Take what the call needs; return False where the call has to wait for its slot.

        Raises:
            RefusedError: a limit is reached.

        """
        options = call.options
        if options.quota:
            raise RefusedError(errors.no_quota())
        # OpenAI counts the larger of the answer's limit and the prompt's estimated tokens.
        tokens = max(call.prompt_tokens, call.limit or 0)
        denial = self._rates.take(options, tokens)
        if denial is None:
            if self.slots.take(self._own(call)):
                return True
            if options.queue or options.voice == "queue":
                return False
            if not options.count_refused:
                self._rates.put_back(options, tokens)
            denial = Denial(which="slots", limit=self._allowed(options), used=self.slots.in_use)
        raise RefusedError(voices.refusal(denial, call.model, options, time.time()))

    async def wait(self, call: Call) -> None:
        """Wait in the queue for a slot; on return the slot is taken."""
        waiting = self.slots.wait(self._own(call))
        asyncio.get_running_loop().call_soon(self._await_turn, call.options.slots_by_turns)
        await waiting

    def _own(self, call: Call) -> Limit | None:
        if "slots" in call.overrides or "slots_by_turns" in call.overrides:
            return functools.partial(self._allowed, call.options)
        return None

    def _allowed(self, options: Options) -> int:
        if options.slots_by_turns:
            return self._turns.now(options.slots_by_turns).slots
        return options.slots or UNLIMITED

    def _await_turn(self, text: str) -> None:
        if not (text and self.slots.waiting) or text in self._awaited:
            return
        left = self._turns.now(text).seconds
        if left < float("inf"):
            self._awaited.add(text)
            asyncio.get_running_loop().call_later(left, self._turned, text)

    def _turned(self, text: str) -> None:
        self._awaited.discard(text)
        self.slots.wake()
        self._await_turn(text)
