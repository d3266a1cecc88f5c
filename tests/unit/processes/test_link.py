"""Promises of the link between two processes, over frames that arrive in any pieces."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import InternalError, Overloaded
from sidecar.processes.link import WINDOW, Link, Lost, Parts
from sidecar.processes.messages import decoder_of, encode

TEXT = decoder_of(str)
Work = Callable[[int, str, Parts], Awaitable[object]]


class Wire(asyncio.Transport):
    """One direction of a pair: what is written arrives at `other` at once, or when `deliver` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Link | None = None
        self.held: bytearray | None = None

    def write(self, data: Any) -> None:
        if self.held is not None:
            self.held += data
        elif self.other is not None:
            self.other.data_received(bytes(data))

    def close(self) -> None:
        asyncio.get_running_loop().call_soon(self._closed)

    def _closed(self) -> None:
        if self.other is not None:
            self.other.connection_lost(None)


async def silent(_number: int, _message: str, _parts: Parts) -> object:
    raise AssertionError


def end(work: Work = silent, notes: list[str] | None = None) -> Link:
    """Return an end whose messages are texts."""
    return Link(
        lambda number, body, parts: work(number, TEXT.decode(body), parts),
        note=lambda body: (notes if notes is not None else []).append(TEXT.decode(body)),
    )


def connected(one: Link, other: Link) -> tuple[Wire, Wire]:
    """Connect two ends; return the wires that each writes to."""
    wires = Wire(), Wire()
    wires[0].other, wires[1].other = other, one
    one.connection_made(wires[0])
    other.connection_made(wires[1])
    return wires


async def test_answers_find_their_requests_whatever_their_order() -> None:
    """Requests of both ends are under way at once, under the same numbers."""
    gates = {name: asyncio.Event() for name in "ab"}

    async def slow(_number: int, message: str, _parts: Parts) -> str:
        await gates[message].wait()
        return message * 2

    async def quick(_number: int, message: str, _parts: Parts) -> str:
        return message * 3

    one, other = end(quick), end(slow)
    connected(one, other)
    first, second = (asyncio.create_task(one.request(name, TEXT)) for name in "ab")
    await asyncio.sleep(0)
    assert await other.request("x", TEXT) == "xxx"
    gates["b"].set()
    assert await second == "bb"
    assert not first.done()
    gates["a"].set()
    assert await first == "aa"


@given(st.lists(st.text(max_size=300), min_size=1, max_size=20), st.integers(1, 50))
def test_frames_arrive_in_any_pieces(texts: list[str], size: int) -> None:
    """Whatever the socket cuts or joins, each message arrives once and whole."""

    async def main() -> list[str]:
        notes: list[str] = []
        one, other = end(), end(notes=notes)
        wire, _ = connected(one, other)
        wire.held = bytearray()
        for text in texts:
            one.tell(text)
        for start in range(0, len(wire.held), size):
            other.data_received(bytes(wire.held[start : start + size]))
        return notes

    assert asyncio.run(main()) == texts


async def test_an_error_is_raised_where_the_request_came_from() -> None:
    """With its class and fields; a fault of ours is an internal error, and its text stays where it was."""

    async def work(_number: int, message: str, _parts: Parts) -> object:
        if message == "full":
            raise Overloaded(retry_after=2.0, cause="places")
        raise ValueError("a user's text")

    one, other = end(), end(work)
    connected(one, other)
    with pytest.raises(Overloaded) as caught:
        await one.request("full", TEXT)
    assert (caught.value.retry_after, caught.value.cause) == (2.0, "places")
    with pytest.raises(InternalError) as fault:
        await one.request("fault", TEXT)
    assert "text" not in str(fault.value)


async def test_a_request_that_is_cancelled_is_cancelled_at_the_other_end() -> None:
    """The work ends, and its late result is nobody's."""
    left = asyncio.Event()

    async def work(_number: int, _message: str, _parts: Parts) -> object:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return None

    one, other = end(), end(work)
    connected(one, other)
    request = asyncio.create_task(one.request("x", TEXT))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    request.cancel()
    await left.wait()
    assert "0 pending" in repr(one)
    await asyncio.sleep(0)
    assert "0 served" in repr(other)


async def test_a_request_cancelled_before_it_begins_leaves_nothing() -> None:
    """Both frames arrive in one piece: the work never runs, and neither end holds anything."""
    one, other = end(), end()
    wire, _ = connected(one, other)
    wire.held = bytearray()
    request = asyncio.create_task(one.request("x", TEXT))
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    other.data_received(bytes(wire.held))
    for _ in range(3):
        await asyncio.sleep(0)
    assert "0 pending" in repr(one)
    assert "0 served" in repr(other)


async def test_work_that_is_cancelled_from_within_has_an_answer_too() -> None:
    """The process that waits must not wait for ever."""

    async def work(_number: int, _message: str, _parts: Parts) -> object:
        raise asyncio.CancelledError

    one, other = end(), end(work)
    connected(one, other)
    with pytest.raises(InternalError):
        await one.request("x", TEXT)


async def test_a_reader_that_stands_still_holds_up_its_writer_alone() -> None:
    """At most a window of parts is on its way; all arrive in order once they are read, and the result after them."""
    sent: list[int] = []

    async def work(_number: int, message: str, parts: Parts) -> str:
        if message == "whole":
            return "at once"
        for number in range(5 * WINDOW):
            await parts.send(b"%d" % number)
            sent.append(number)
        return "the end"

    one, other = end(), end(work)
    connected(one, other)
    results: list[bytes] = []
    stream = one.stream("parts", ended=lambda raw: results.append(bytes(raw)))
    found = [await anext(stream)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(sent) <= WINDOW
    assert await one.request("whole", TEXT) == "at once"
    found += [part async for part in stream]
    assert found == [b"%d" % number for number in range(5 * WINDOW)]
    assert results == [encode("the end")]


async def test_a_stream_that_is_closed_ends_its_work() -> None:
    """A caller who leaves costs no more parts."""
    left = asyncio.Event()

    async def work(_number: int, _message: str, parts: Parts) -> object:
        try:
            while True:
                await parts.send(b"on and on")
        finally:
            left.set()

    one, other = end(), end(work)
    connected(one, other)
    stream = one.stream("x")
    assert await anext(stream) == b"on and on"
    await stream.aclose()
    await left.wait()


async def test_the_end_of_the_other_process_ends_what_was_under_way() -> None:
    """What it was asked for fails, what it asked for is cancelled, in this order: the second before the first."""
    order: list[str] = []

    async def forever(_number: int, _message: str, _parts: Parts) -> object:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")
        return None

    async def passed_on(_number: int, message: str, _parts: Parts) -> object:
        try:
            return await one.request(message, TEXT)
        except Lost:
            order.append("lost")
            raise

    one, other = end(passed_on), end(forever)
    wire, _ = connected(one, other)
    own = asyncio.create_task(one.request("mine", TEXT))
    theirs = asyncio.create_task(other.request("theirs", TEXT))
    for _ in range(4):
        await asyncio.sleep(0)
    one.connection_lost(None)
    with pytest.raises(Lost):
        await own
    assert order == []  # the request of the other process was cancelled, and so saw no loss
    with pytest.raises(Lost):
        await one.request("later", TEXT)
    one.tell("nothing hears this")
    theirs.cancel()
    wire.close()
    await asyncio.gather(theirs, return_exceptions=True)


async def test_a_frame_of_no_sense_ends_the_link() -> None:
    """Both ends are ours: there is nothing to guess."""
    one, other = end(), end()
    _, wire = connected(one, other)
    closed = asyncio.Event()
    wire.close = closed.set  # type: ignore[method-assign]
    other.data_received(b"\0\0\0\2\xc1\xc1")
    assert closed.is_set()
