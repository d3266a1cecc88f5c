"""Index of replies: the place of each in the journal, by the request's id; 40 bytes an entry at a million. Pure."""

from array import array
from typing import Final

ID_BYTES: Final = 16
_FIRST: Final = 1024


class Index:
    """Hash table from ids of 16 bytes to places (numbers below 2**63), with open addressing, at most half full."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._places = array("Q")
        self._slots = array("I", bytes(_FIRST * array("I").itemsize))
        """The entry's number plus one, in the slot of the id's hash or a later one; 0 is free."""

    def __len__(self) -> int:
        return len(self._places)

    def find(self, name: bytes) -> int | None:
        """Return the place of `name`, None if it has none."""
        entry = self._slots[self._slot(name)]
        return self._places[entry - 1] if entry else None

    def put(self, name: bytes, place: int) -> None:
        """Set the place of `name`."""
        slot = self._slot(name)
        if entry := self._slots[slot]:
            self._places[entry - 1] = place
            return
        self._ids += name
        self._places.append(place)
        self._slots[slot] = len(self._places)
        if 2 * len(self._places) > len(self._slots):
            self._grow()

    def _slot(self, name: bytes) -> int:
        """Return the slot of `name`, or the free slot that `name` would take. Ids are hashes already."""
        last = len(self._slots) - 1
        slot = int.from_bytes(name[:8], "little") & last
        while (entry := self._slots[slot]) and self._ids[(entry - 1) * ID_BYTES : entry * ID_BYTES] != name:
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._slots = array("I", bytes(2 * len(self._slots) * self._slots.itemsize))
        last = len(self._slots) - 1
        for entry in range(1, len(self._places) + 1):
            start = (entry - 1) * ID_BYTES
            slot = int.from_bytes(self._ids[start : start + 8], "little") & last
            while self._slots[slot]:
                slot = (slot + 1) & last
            self._slots[slot] = entry
