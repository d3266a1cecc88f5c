"""Several simulated providers behind one gate, in virtual time, and one that dies in the middle."""

import asyncio
from collections.abc import Sequence

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Completion, Traffic
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import ALL, Provider
from sidecar.provider.connection_errors import cut, not_connected
from tests.support.simulated_provider import SimulatedProvider
from tests.support.worlds import World


class MortalProvider(SimulatedProvider):
    """A simulated provider whose machine can go away: it cuts its answers and refuses connections from then on."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.texts: list[str] = []
        """The user's texts that came here."""
        self.came: list[float] = []
        """Time of each call, on the loop's clock."""
        self.cut = 0
        """Calls that were cut in the middle."""
        self.dead: UpstreamFailure | None = None
        """The failure of each new call once the machine is away."""
        self._under_way: set[asyncio.Task[Completion]] = set()

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        if self.dead is not None:
            raise self.dead.again()
        self.texts.append(str(call.messages[-1]["content"]))
        self.came.append(asyncio.get_running_loop().time())
        work = asyncio.ensure_future(super().complete(call, deadline=deadline))
        self._under_way.add(work)
        try:
            await asyncio.wait((work,))
            if work.cancelled():
                self.cut += 1
                raise cut()
            return work.result()
        finally:
            self._under_way.discard(work)
            work.cancel()

    def die(self, failure: UpstreamFailure | None = None) -> None:
        """Cut every answer under way; refuse later calls with `failure`, by default a refused connection."""
        self.dead = failure or not_connected(ConnectionRefusedError(), "gone.example")
        for work in self._under_way:
            work.cancel()


def pool_of(
    upstreams: Sequence[SimulatedProvider],
    *,
    ceiling: int = 64,
    priorities: Sequence[int] = (),
    classes: Sequence[frozenset[Traffic]] = (),
) -> Pool:
    """Return a pool of providers named "0", "1" and so on, on the running loop's clock."""
    clock = asyncio.get_running_loop().time
    return Pool(
        [
            Provider(
                upstream,
                name=str(number),
                concurrency=ceiling,
                priority=priorities[number] if priorities else 1,
                traffic=classes[number] if classes else ALL,
                clock=clock,
            )
            for number, upstream in enumerate(upstreams)
        ]
    )


class Unstored:
    """Parts of which none is stored."""

    async def find(self, key: bytes) -> str | None:
        return None

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None: ...
