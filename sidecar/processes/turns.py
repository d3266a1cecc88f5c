"""Turns at one listening socket: a process with more open connections than another lets that one accept first."""

from typing import Final

from sidecar.processes.block import ACCEPTING, CONNECTIONS, Block

MORE: Final = 2
"""Connections that a process may have more than another before it waits."""
WAIT_SECONDS: Final = 0.002
"""Longest wait for the others, who may be busy with long work."""


class SharedTurns:
    """Turns of the process at the row `index`."""

    def __init__(self, block: Block, index: int) -> None:
        self._block = block
        self._index = index
        block.rows[index][ACCEPTING] = 1

    def wait(self, connections: int) -> float:
        """Return the seconds for which the others may accept first, 0 for none; `connections` are open here."""
        self.count(connections)
        others = [row[CONNECTIONS] for row in self._block.rows if row[ACCEPTING]]
        return WAIT_SECONDS if connections > min(others, default=connections) + MORE else 0.0

    def count(self, connections: int) -> None:
        """Record how many connections are open here."""
        self._block.rows[self._index][CONNECTIONS] = connections

    def stop(self) -> None:
        """Record that this process accepts no more."""
        self._block.rows[self._index][ACCEPTING] = 0
