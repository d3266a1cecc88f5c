"""Layer 2, admission: how many requests, and how many bytes of their bodies, are held at once.

A request holds a place from its arrival to its reply; a slot at the provider is the gate's business. State changes
are plain functions; only the ways in that wait instead of refusing (stdio, batch) await here.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from sidecar.core.errors import Overloaded, ShuttingDown


class Place:
    """The place of one request; leaving the `with` block gives the place and its bytes back."""

    __slots__ = ("_admission", "aside", "bulk", "held", "pending", "size")

    def __init__(self, admission: "Admission", size: int, *, pending: bool, bulk: bool) -> None:
        self._admission = admission
        self.pending = pending
        """True while the body is still to arrive."""
        self.bulk = bulk
        """True if nobody waits for the answers."""
        self.aside = False
        """True if only the bytes are held, and the place is another request's."""
        self.size = size
        """Bytes reserved for the body."""
        self.held = True
        """True until the place is given back."""

    def resize(self, size: int) -> None:
        """Reserve `size` bytes instead; raises `Overloaded` where too few are free."""
        self._admission.resize(self, size)

    def arrived(self) -> None:
        """Count the body as arrived."""
        self._admission.arrived(self)

    def step_aside(self) -> None:
        """Let another request have the place, but hold the bytes: the text is still in memory."""
        self._admission.step_aside(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._admission.release(self)


class Admission:
    """Holds at most `places` requests and `size` bytes of their bodies."""

    def __init__(self, *, places: int, size: int) -> None:
        self.places = places
        self.size = size
        self.held = 0
        """Requests held now."""
        self.held_bytes = 0
        self.pending = 0
        """Bytes reserved for bodies still to arrive: at most a half, so that slow senders leave room for others."""
        self.bulk = 0
        """Bytes reserved for lists of jobs, whole or not: at most a half, since interactive requests need the rest."""
        self.draining = False
        self._waiting: deque[tuple[int, asyncio.Future[Place]]] = deque()
        self._empty: asyncio.Event | None = None

    def __repr__(self) -> str:
        state = "draining" if self.draining else "open"
        return f"<Admission {state}, {self.held}/{self.places} places, {self.held_bytes}/{self.size} bytes>"

    def admit(self, size: int = 0, *, pending: bool = False, bulk: bool = False, even_draining: bool = False) -> Place:
        """Take a place with `size` bytes, `pending` until `Place.arrived`; raises `ShuttingDown` or `Overloaded`.

        Pending bodies hold at most half of the bytes, `bulk` ones too, both at most three quarters. `even_draining` is
        for requests that only read a state.
        """
        if self.draining and not even_draining:
            raise ShuttingDown
        if self._waiting or not self._fits(size):
            raise Overloaded(cause="places" if self._places_held() >= self.places else "bytes")
        self._check_shares(size, pending=pending, bulk=bulk)
        return self._take(size, pending=pending, bulk=bulk)

    def _check_shares(self, size: int, *, pending: bool, bulk: bool, own: int = 0) -> None:
        """Raise `Overloaded` for a body of `size` bytes, `own` of them reserved before, beyond what its kind may hold.

        One body alone may be of any size. Bodies within a place's even share are free: the places bound them.
        """
        if not (pending or bulk) or size <= self.size // self.places:
            return
        pending_bytes, bulk_bytes = self._kinds_held()
        kind = (bulk_bytes if bulk else pending_bytes) - own
        both = bulk_bytes + pending_bytes - own
        if (kind and kind + size > self.size // 2) or (both and both + size > self.size * 3 // 4):
            raise Overloaded(cause="bytes")

    async def wait(self, size: int = 0) -> Place:
        """Wait for a place with `size` bytes, first come first served (backpressure)."""
        size = min(size, self.size)
        if not self._waiting and self._fits(size):
            return self._take(size)
        future: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        entry = (size, future)
        self._waiting.append(entry)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            else:
                self._waiting.remove(entry)
                self._wake()
            raise

    def close(self) -> None:
        """Admit nothing more; requests that wait for a place still get it, since they were read before."""
        self.draining = True

    async def emptied(self) -> None:
        """Return once no place is held."""
        if self.held:
            self._empty = self._empty or asyncio.Event()
            await self._empty.wait()

    def _fits(self, size: int) -> bool:
        return self._places_held() < self.places and self._bytes_held() + size <= self.size

    def _places_held(self) -> int:
        """Count the requests under the bound; where several processes share it, all of theirs."""
        return self.held

    def _bytes_held(self) -> int:
        return self.held_bytes

    def _kinds_held(self) -> tuple[int, int]:
        """Return the bytes of bodies still to arrive, and of lists of jobs."""
        return self.pending, self.bulk

    def _take(self, size: int, *, pending: bool = False, bulk: bool = False) -> Place:
        self.held += 1
        place = Place(self, 0, pending=pending, bulk=bulk)
        self._grow(place, size)
        return place

    def _grow(self, place: Place, by: int) -> None:
        place.size += by
        self.held_bytes += by
        if place.bulk:
            self.bulk += by
        elif place.pending:
            self.pending += by

    def resize(self, place: Place, size: int) -> None:
        """See `Place.resize`."""
        if (by := size - place.size) > 0:
            if self._bytes_held() + by > self.size:
                raise Overloaded(cause="bytes")
            self._check_shares(size, pending=place.pending, bulk=place.bulk, own=place.size)
        self._grow(place, by)
        if by < 0:
            self._wake()

    def arrived(self, place: Place) -> None:
        """See `Place.arrived`."""
        if place.pending:
            place.pending = False
            self.pending -= 0 if place.bulk else place.size

    def release(self, place: Place) -> None:
        """Give a place and its bytes back, once; leaving the place's `with` block does it too."""
        if not place.held:
            return
        place.arrived()
        self.step_aside(place)
        place.held = False
        self._grow(place, -place.size)
        self._wake()

    def step_aside(self, place: Place) -> None:
        """See `Place.step_aside`."""
        if place.aside:
            return
        place.aside = True
        self.held -= 1
        self._wake()
        if not self.held and self._empty is not None:
            self._empty.set()
            self._empty = None

    def _wake(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, future = self._waiting.popleft()
            if not future.done():
                future.set_result(self._take(size))
