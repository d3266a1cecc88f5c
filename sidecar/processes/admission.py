"""Admission of several processes: one bound of places and bytes over all of them, in the shared block.

A process counts its own requests itself and adds what the others hold. Two processes that admit at the same instant
see each other's request only afterwards, so the bounds hold to within one request for each further process.
"""

from sidecar.engine.admission import Admission, Place
from sidecar.processes.block import BULK, BYTES, HELD, PENDING, Block


class SharedAdmission(Admission):
    """Admission of the process at the row `index`."""

    def __init__(self, block: Block, index: int, *, places: int, size: int) -> None:
        super().__init__(places=places, size=size)
        self._block = block
        self._index = index

    def _others(self, column: int) -> int:
        return self._block.total(column, without=self._index)

    def _places_held(self) -> int:
        return self.held + self._others(HELD)

    def _bytes_held(self) -> int:
        return self.held_bytes + self._others(BYTES)

    def _kinds_held(self) -> tuple[int, int]:
        return self.pending + self._others(PENDING), self.bulk + self._others(BULK)

    def _take(self, size: int, *, pending: bool = False, bulk: bool = False) -> Place:
        place = super()._take(size, pending=pending, bulk=bulk)
        self._publish()
        return place

    def resize(self, place: Place, size: int) -> None:
        if size != place.size:
            super().resize(place, size)
            self._publish()

    def arrived(self, place: Place) -> None:
        if place.pending:
            super().arrived(place)
            self._publish()

    def release(self, place: Place) -> None:
        super().release(place)
        self._publish()

    def step_aside(self, place: Place) -> None:
        if not place.aside:
            super().step_aside(place)
            self._publish()

    def _publish(self) -> None:
        row = self._block.rows[self._index]
        row[HELD], row[BYTES], row[PENDING], row[BULK] = self.held, self.held_bytes, self.pending, self.bulk
