"""Rehearsal from start to report: the sidecar is looked at, the class drives, and the numbers become a report."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from sidecar.config.settings import Settings
from sidecar.rehearse.advice import Facts, advise
from sidecar.rehearse.caller import Caller
from sidecar.rehearse.drive import Log, drive
from sidecar.rehearse.expect import Expectation, verdicts
from sidecar.rehearse.pages import request_of
from sidecar.rehearse.plan import Plan, User, calls_needed, users_of
from sidecar.rehearse.processes import own_processes
from sidecar.rehearse.replies import Reply
from sidecar.rehearse.report import Report
from sidecar.rehearse.result import result_of
from sidecar.rehearse.server_numbers import provider_calls, read_demo, read_server

WATCH_SECONDS: Final = 0.25
"""Time between two calls of the watch."""

Watch = Callable[[Log, float], None]
"""Port: shows the log of the class so far, and the seconds since its start."""
Found = Callable[[str], None]
"""Port: takes the base address of the sidecar, before the class begins."""


class NotServingError(Exception):
    """No sidecar at the address; the message is one line for a person."""


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed for one rehearsal."""

    plan: Plan
    settings: Settings
    url: str
    """Base address of a running sidecar; blank to start one of its own, with the demo provider."""
    demo_flags: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()


async def rehearse(order: Rehearsal, watch: Watch, stop: asyncio.Event, found: Found) -> tuple[Report, Log]:
    """Run the class until its end or until `stop` is set; return the report and the clicks.

    Raises:
        NotServingError: no sidecar answers at the address.
        NotStartedError: the sidecar or the demo provider of its own did not start.

    """
    plan, settings = order.plan, order.settings
    async with AsyncExitStack() as stack:
        base, token, demo = order.url, settings.sidecar_token, None
        if not base:
            own = await stack.enter_async_context(own_processes(settings, order.demo_flags))
            demo = await stack.enter_async_context(Caller(own.demo, token="", patience=1, route="ai"))
            base, token = own.sidecar, own.token
        caller = Caller(base, token=token, patience=plan.patience, route=plan.route)
        await stack.enter_async_context(caller)
        await _check(caller)
        found(base)
        before = read_server(await caller.look("/status"))
        users, log, mark = users_of(plan), Log(), secrets.token_hex(4)

        async def press(user: User, click: int) -> Reply:
            return await caller.press(request_of(plan, user, click, mark))

        async with _watching(watch, log):
            await drive(plan, users, press, log, stop)
        after = read_server(await caller.look("/status"))
        calls = provider_calls(
            before,
            after,
            read_demo(await demo.look("/demo/stats")) if demo is not None else None,
            clicks=len(log.clicks),
            answered=log.counts["answered"],
        )
    result = result_of(plan, log, calls, interrupted=_interrupted(plan, log))
    advice = advise(Facts(result=result, server=after, needed=calls_needed(users)))
    return Report(result=result, advice=advice, verdicts=verdicts(list(order.expectations), result)), log


def _interrupted(plan: Plan, log: Log) -> bool:
    return len(log.clicks) - log.counts["unfinished"] < plan.total


async def _check(caller: Caller) -> None:
    health = await caller.look("/health")
    if health is None:
        raise NotServingError("nothing answers there; start the sidecar, or let --demo start one")
    if b"openai-moodle-sidecar" not in health[1]:
        raise NotServingError("what answers there is not the sidecar")


@asynccontextmanager
async def _watching(watch: Watch, log: Log) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def look() -> None:
        while True:
            watch(log, loop.time() - start)
            await asyncio.sleep(WATCH_SECONDS)

    looking = asyncio.create_task(look(), name="watch of the class")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        watch(log, loop.time() - start)
