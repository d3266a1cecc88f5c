"""The demo provider: one call from arrival to answer, the counters, and changes of options while it runs.

admission.py and outcome.py decide about a call, answers.py, voices.py and codec.py make its answer, delivery.py
sends it. No text of a caller is logged, and none is stored unless a test sets `keep`.
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
from sidecar.demo.call import Call, RefusedError, check_key, parse_call
from sidecar.demo.options import Options
from sidecar.demo.outcome import Dice
from sidecar.demo.stats import Stats, Watch

MAX_BODY_BYTES: Final = 64 * 2**20
_BY_LIMITS: Final = frozenset({"slots", "rpm", "tpm", "day", "quota"})
"""Outcomes that REFUSAL_SECONDS applies to."""


class ReceivedCall(msgspec.Struct, frozen=True):
    """A call as it came in, stored for a test that set `keep`."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Demo:
    """A running demo provider."""

    def __init__(self, options: Options, *, keep: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = ""
        """For example `http://127.0.0.1:43123`; the base URL for OpenAI's clients is this and `/v1`."""
        self.options = options
        self.stats = Stats()
        self.received: deque[ReceivedCall] = deque(maxlen=keep)
        """The last `keep` calls with their texts."""
        self._first_options = options
        self._admission = Admission(options, clock)
        self._slots = self._admission.slots
        self._dice = Dice(options.seed)
        self._watch = Watch(self.stats)
        self._numbers = itertools.count(1)
        self._name = secrets.token_hex(8)

    def __repr__(self) -> str:
        return f"<demo provider {self.url or 'not started'}, {self.stats.in_flight} in flight>"

    def behave(self, /, **changes: object) -> Options:
        """Change options from the next call on; the limits are checked again for calls in the queue.

        Raises:
            BadOptionError: a name that is no option, or a value outside the option's range.

        """
        self.options = behaviour.changed(self.options, changes)
        if "seed" in changes or "fail_first" in changes:
            self._dice = Dice(self.options.seed)
        self._admission.change(self.options, restart="slots_by_turns" in changes)
        self._update_stats()
        return self.options

    def reset(self) -> None:
        """Return to the first options, with counters, rate windows and dice fresh; calls in flight go on."""
        self.options = self._first_options
        self._dice = Dice(self.options.seed)
        self._admission.reset(self.options)
        self.received.clear()
        self.stats.clear()
        self._update_stats()

    async def until(self, wanted: Callable[[Stats], bool], *, within: float = 10.0) -> Stats:
        """Wait until `wanted(stats)` is true, at most `within` seconds.

        Raises:
            TimeoutError: the seconds have passed; the message shows the stats.

        """
        return await self._watch.until(wanted, within=within)

    async def chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one call from its arrival to its answer; the call is counted under exactly one outcome."""
        self.stats.received += 1
        self._watch.notify()
        name = f"{self._name}{next(self._numbers):08x}"
        headers = {"x-request-id": f"req_{name}"}
        outcome = "cancelled"
        try:
            outcome, response = await self._reply(request, name, headers)
        except ConnectionError:
            response = web.Response()  # the caller left during a read or write, so this response is never sent
        finally:
            self._count(outcome)
        if outcome not in ("cut", "cancelled"):
            self.stats.count_status(response.status)
        return response

    async def _reply(self, request: web.BaseRequest, name: str, headers: dict[str, str]) -> delivery.Ending:
        options = self.options
        try:
            try:
                call = await self._receive(request)
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
        if not response.prepared and outcome != "cut":  # a response that has begun has travelled already
            await _travel(options)
        return outcome, response

    async def _receive(self, request: web.BaseRequest) -> Call:
        options = self.options
        check_key(request.headers, options)
        raw = await read_body(request)
        if self.received.maxlen:
            self.received.append(ReceivedCall(request.path, request.headers.copy(), raw))
        call = parse_call(raw, request.path, request.headers.get(behaviour.HEADER), options)
        if "api_key" in call.overrides:
            check_key(request.headers, call.options)
        if call.body.user:
            self.stats.count_user(call.body.user)
            self._watch.notify()
        return call

    async def _serve(
        self, request: web.BaseRequest, call: Call, name: str, headers: dict[str, str], *, has_slot: bool
    ) -> delivery.Ending:
        if not has_slot:
            self._update_stats(arriving=1)
            await self._admission.wait(call)
        try:
            self._update_stats()
            return await self._work(request, call, name, headers)
        finally:
            self._slots.release()
            self._update_stats()

    async def _work(self, request: web.BaseRequest, call: Call, name: str, headers: dict[str, str]) -> delivery.Ending:
        options = call.options
        fate = self._dice.fate(options, text=call.text if "fail_first" in call.overrides else None)
        if fate.delay:
            await asyncio.sleep(fate.delay)
        if fate.stall:
            self.stats.stalled += 1
            self._watch.notify()
            await asyncio.get_running_loop().create_future()
        if fate.status is not None:
            spoilt = codec.whole_body(fate.garbage)
            if spoilt is None:
                raise RefusedError(ordered_failures.failure(fate.status, call))
            return "failed", delivery.whole(spoilt, headers, status=fate.status)
        reply = codec.Reply(
            id=f"chatcmpl-{name}",
            created=int(time.time()),
            model=call.model,
            prompt_tokens=call.prompt_tokens,
            answer=answers.answer(call.system, call.text, call.limit, earlier=call.earlier),
        )
        self.stats.prompt_tokens += reply.prompt_tokens
        self.stats.completion_tokens += reply.answer.tokens
        return await delivery.deliver(request, call, fate, reply, headers)

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
        self._update_stats()

    def _update_stats(self, *, arriving: int = 0) -> None:
        self.stats.in_flight = self._slots.in_use
        self.stats.peak_in_flight = self._slots.peak
        self.stats.waiting = self._slots.waiting + arriving
        self._watch.notify()


async def _travel(options: Options) -> None:
    if options.distance:
        await asyncio.sleep(options.distance)


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the whole body.

    Raises:
        RefusedError: the body is over MAX_BODY_BYTES.

    """
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp's own routes do: the answer has not begun
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as exc:
        message = f"The body is over {MAX_BODY_BYTES} bytes."
        raise RefusedError(errors.invalid(message, status=413, code="request_too_large")) from exc
