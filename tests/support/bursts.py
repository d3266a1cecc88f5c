"""A burst of callers in virtual time: the real engine, gate and limit at a simulated provider."""

import asyncio

import msgspec

from sidecar.config.settings import SETTINGS, Settings
from sidecar.core.contract import Request
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.request import ActionRequest
from sidecar.engine.service import Service
from sidecar.service import service_of
from tests.support.simulated_provider import SimulatedProvider
from tests.support.virtual_time import run
from tests.support.worlds import World


class CallerResult(msgspec.Struct, frozen=True):
    """Outcome and times of one caller."""

    code: str
    """`ok` or an error's code."""
    came: float
    """Seconds after the first caller."""
    ended: float
    words: str = ""
    retry_after: float | None = None

    @property
    def seconds(self) -> float:
        """The wait in seconds."""
        return self.ended - self.came


class Burst(msgspec.Struct, frozen=True):
    """Results of all callers of one burst."""

    results: list[CallerResult]
    """In the callers' order of arrival."""
    refused: int
    """Calls that the provider refused."""

    @property
    def answered(self) -> list[CallerResult]:
        return [result for result in self.results if result.code == "ok"]

    @property
    def failed(self) -> list[CallerResult]:
        return [result for result in self.results if result.code != "ok"]

    @property
    def last(self) -> float:
        """Seconds from the first caller to the last answer."""
        return max((result.ended for result in self.answered), default=0.0)

    @property
    def displaced(self) -> int:
        """Answers by which a caller had one later than its turn: the worst of all."""
        order = sorted(self.answered, key=lambda result: result.ended)
        turns = {id(result): turn for turn, result in enumerate(self.answered)}
        return max((place - turns[id(result)] for place, result in enumerate(order)), default=0)


def service_at(provider: SimulatedProvider | Pool, world: World) -> Service:
    """Return a sidecar's engine with the settings of this world, on the running loop's clock."""
    words = {setting.field: setting.default for setting in SETTINGS}
    words |= {
        "openai_api_key": "key",
        "concurrency": world.ceiling,
        "request_timeout": world.deadline,
        "format": "markdown",
    }
    return service_of(Settings(**words, proxies={}, ca_file=""), provider, clock=asyncio.get_running_loop().time)


async def burst(services: list[Service], provider: SimulatedProvider, world: World, *, named: str = "") -> Burst:
    """Send the callers of this world to the engines in turn. Texts differ from burst to burst by `named`."""
    loop = asyncio.get_running_loop()
    start, refused = loop.time(), provider.refused

    async def caller(number: int) -> CallerResult:
        await asyncio.sleep(world.within * number / world.callers)
        now = loop.time()
        size = world.sizes[number % len(world.sizes)]
        content = (f"{named}{number} " + "word " * 2000)[: size * 4]
        request = Request(action="chat", content=content, user_id=str(number))
        action_request = ActionRequest(
            deadline=now + world.deadline,
            request_id=str(number),
            route="ai",
            origin="10.0.0.1",
            arrived=now,
            request=request,
        )
        outcome = await services[number % len(services)].engine.answer(action_request)
        reply = outcome.reply
        return CallerResult(
            reply.code or "ok", now - start, loop.time() - start, reply.error or "", outcome.retry_after
        )

    results = await asyncio.gather(*(caller(number) for number in range(world.callers)))
    return Burst(results, provider.refused - refused)


def burst_of(world: World, *, seed: int = 1) -> Burst:
    """Run one burst at fresh sidecars."""

    async def scene() -> Burst:
        provider = SimulatedProvider(world, seed=seed)
        return await burst([service_at(provider, world) for _ in range(world.sidecars)], provider, world)

    return run(scene())
