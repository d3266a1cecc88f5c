"""The demo provider: one call from arrival to answer, what it counts, and changing its ways while it runs.

What a call meets is decided in admission.py and fate.py, what it hears in answers.py, voices.py and wire.py, and how
that goes out in delivery.py. No text of a caller is logged or kept, unless a test asks with `keep`.
"""

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from sidecar.demo import answers, codec, delivery, errors, ordered_failures
from sidecar.demo import options as behaviour
from sidecar.demo.admission import Admission
from sidecar.demo.call import Call, RefusedError, authorized, understood
from sidecar.demo.options import Options
from sidecar.demo.outcome import Dice
from sidecar.demo.stats import Stats, Watch

MAX_BODY_BYTES: Final = 64 * 2**20
_BY_LIMITS: Final = frozenset({"slots", "rpm", "tpm", "day", "quota"})
"""Outcomes that REFUSAL_SECONDS applies to."""


class Heard(msgspec.Struct, frozen=True):
    """A call as it came in, kept for a test that asked for it."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Demo:
    """A running demo upstream."""

    def __init__(self, options: Options, *, keep: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = ""
        """`http://127.0.0.1:43123`; OpenAI's base URL is this and `/v1`."""
        self.options = options
        self.stats = Stats()
        self.heard: deque[Heard] = deque(maxlen=keep)
        """The last `keep` calls with their texts."""
        self._first_options = options
        self._admission = Admission(options, clock)
        self._slots = self._admission.slots
        self._dice = Dice(options.seed)
        self._watch = Watch(self.stats)
        self._numbers = itertools.count(1)
        self._name = secrets.token_hex(8)

    def __repr__(self) -> str:
        return f"<demo upstream {self.url or 'not started'}, {self.stats.in_flight} in flight>"

    def behave(self, /, **changes: object) -> Options:
        """Change how it behaves from the next call on; callers in line are looked at again.

        Raises:
            BadOptionError: a name that is no option, or a value outside what it takes.

        """
        self.options = behaviour.changed(self.options, changes)
        if "seed" in changes or "fail_first" in changes:
            self._dice = Dice(self.options.seed)
        self._admission.change(self.options, restart="slots_by_turns" in changes)
        self._note()
        return self.options

    def reset(self) -> None:
        """Behave as at the start, with counters, rate windows and dice fresh; calls in flight go on."""
        self.options = self._first_options
        self._dice = Dice(self.options.seed)
        self._admission.reset(self.options)
        self.heard.clear()
        self.stats.clear()
        self._note()

    async def until(self, wanted: Callable[[Stats], bool], *, within: float = 10.0) -> Stats:
        """Wait until the stats look as `wanted` says, at most `within` seconds.

        Raises:
            TimeoutError: they did not; the message shows them.

        """
        return await self._watch.until(wanted, within=within)

    async def chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """One call, from its arrival to its answer; it is counted under one outcome whatever happens."""
        self.stats.received += 1
        self._watch.look()
        name = f"{self._name}{next(self._numbers):08x}"
        headers = {"x-request-id": f"req_{name}"}
        outcome = "cancelled"
        try:
            outcome, response = await self._reply(request, name, headers)
        except ConnectionError:
            response = web.Response()  # the caller left while we wrote or read: nobody will see this
        finally:
            self._count(outcome)
        if outcome not in ("cut", "cancelled"):
            self.stats.count_status(response.status)
        return response

    async def _reply(self, request: web.BaseRequest, name: str, headers: dict[str, str]) -> delivery.Ending:
        options = self.options
        try:
            try:
                call = await self._hear(request)
                options = call.options
                await _travel(options)
                has_slot = self._admission.enter(call)
            finally:
                headers |= self._admission.headers(options)
            outcome, response = await self._serve(request, call, name, headers, has_slot=has_slot)
        except RefusedError as exc:
            if options.refusal_seconds and exc.refusal.outcome in _BY_LIMITS:
                await asyncio.sleep(options.refusal_seconds)
            outcome, response = exc.refusal.outcome, delivery.refused(exc.refusal, options, headers)
        if not response.prepared and outcome != "cut":  # what has begun has made its way already
            await _travel(options)
        return outcome, response

    async def _hear(self, request: web.BaseRequest) -> Call:
        options = self.options
        authorized(request.headers, options)
        raw = await read_body(request)
        if self.heard.maxlen:
            self.heard.append(Heard(request.path, request.headers.copy(), raw))
        call = understood(raw, request.path, request.headers.get(behaviour.HEADER), options)
        if "api_key" in call.asked:
            authorized(request.headers, call.options)
        if call.body.user:
            self.stats.count_user(call.body.user)
            self._watch.look()
        return call

    async def _serve(
        self, request: web.BaseRequest, call: Call, name: str, headers: dict[str, str], *, has_slot: bool
    ) -> delivery.Ending:
        if not has_slot:
            self._note(arriving=1)
            await self._admission.wait(call)
        try:
            self._note()
            return await self._work(request, call, name, headers)
        finally:
            self._slots.give()
            self._note()

    async def _work(self, request: web.BaseRequest, call: Call, name: str, headers: dict[str, str]) -> delivery.Ending:
        options = call.options
        fate = self._dice.fate(options, text=call.text if "fail_first" in call.asked else None)
        if fate.delay:
            await asyncio.sleep(fate.delay)
        if fate.stall:
            self.stats.stalled += 1
            self._watch.look()
            await asyncio.get_running_loop().create_future()
        if fate.status is not None:
            spoilt = codec.whole_body(fate.garbage)
            if spoilt is None:
                raise RefusedError(ordered_failures.failure(fate.status, call))
            return "failed", delivery.whole(spoilt, headers, status=fate.status)
        said = codec.Said(
            id=f"chatcmpl-{name}",
            created=int(time.time()),
            model=call.model,
            prompt_tokens=call.prompt_tokens,
            answer=answers.answer(call.system, call.text, call.limit, earlier=call.earlier),
        )
        self.stats.prompt_tokens += said.prompt_tokens
        self.stats.completion_tokens += said.answer.tokens
        return await delivery.deliver(request, call, fate, said, headers)

    def _count(self, outcome: str) -> None:
        stats = self.stats
        stats.count_outcome(outcome)
        if outcome == "answered":
            stats.answered += 1
        elif outcome == "cancelled":
            stats.cancelled += 1
        elif outcome == "failed":
            stats.failed += 1
        elif outcome not in ("cut", "garbage"):
            stats.refused += 1
        self._note()

    def _note(self, *, arriving: int = 0) -> None:
        self.stats.in_flight = self._slots.in_use
        self.stats.peak_in_flight = self._slots.peak
        self.stats.waiting = self._slots.waiting + arriving
        self._watch.look()


async def _travel(options: Options) -> None:
    if options.distance:
        await asyncio.sleep(options.distance)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body.

    Raises:
        RefusedError: it is over MAX_BODY_BYTES.

    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp's own routes do: the answer has not begun
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        message = f"The body is over {MAX_BODY_BYTES} bytes."
        raise RefusedError(errors.invalid(message, status=413, code="request_too_large")) from exc
