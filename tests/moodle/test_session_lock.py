"""Promises to a person who opens another page while the summary of the last one is still to come."""

import asyncio
from collections.abc import Callable

from sidecar.demo.provider import Demo
from tests.support.moodle.people import Browsers
from tests.support.moodle.programs import free_port
from tests.support.moodle.school import School, warm
from tests.support.valkey import valkey

Measured = Callable[[object], None]


async def next_page(school: School, opened: Browsers, demo: Demo) -> float:
    """Return the seconds that somebody's next page takes during a call of five seconds."""
    person = await opened.log_in("pupil1")
    path = f"/mod/page/view.php?id={school.site.made.pages[1]['module']}"
    await opened.page(person, path)
    call = asyncio.create_task(opened.summarise(person, 0, "[demo latency=5] The tides."))
    await demo.until(lambda stats: stats.in_flight == 1)
    seconds, _ = await opened.page(person, path)
    assert (await call).answered
    return seconds


async def test_the_next_page_waits_without_the_sidecar(
    straight: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    """Moodle holds the session's lock for the whole call; our promise below is none where this is no longer so."""
    await warm(straight, opened, provider)
    seconds = await next_page(straight, opened, provider)
    measured(f"{seconds:.2f} s")
    assert seconds > 3.0


async def test_the_next_page_comes_at_once(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    async with plugin.sidecar():
        await warm(plugin, opened, provider)
        seconds = await next_page(plugin, opened, provider)
    measured(f"{seconds:.2f} s")
    assert seconds < 0.5


async def test_the_next_page_comes_at_once_with_sessions_in_the_database(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    plugin.site.configure(session_handler_class="\\core\\session\\database")
    async with plugin.sidecar():
        await warm(plugin, opened, provider, person=await opened.log_in("pupil1"))
        seconds = await next_page(plugin, opened, provider)
    count = "SELECT count(*) FROM mdl_sessions WHERE sessdata <> ''"
    assert int(plugin.site.database.query(count, database="moodle")) >= 2
    measured(f"{seconds:.2f} s")
    assert seconds < 0.5


async def test_the_next_page_comes_at_once_with_sessions_in_redis(
    plugin: School, provider: Demo, opened: Browsers, measured: Measured
) -> None:
    port = free_port()
    async with valkey("--port", str(port), "--bind", "127.0.0.1") as server, plugin.sidecar():
        place = {"session_redis_host": "127.0.0.1", "session_redis_port": port}
        plugin.site.configure(session_handler_class="\\core\\session\\redis", **place)
        await warm(plugin, opened, provider, person=await opened.log_in("pupil1"))
        seconds = await next_page(plugin, opened, provider)
        async with server.client() as client:
            assert await client.dbsize() >= 2
    measured(f"{seconds:.2f} s")
    assert seconds < 0.5
