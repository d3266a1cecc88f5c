"""People of a Moodle site: logged in by its form, they open pages and press "summarise" as its JavaScript does."""

import heapq
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import aiohttp

from tests.support.moodle.site import PASSWORD, Site

PATIENCE: Final = 90.0
"""Seconds after which a page that does not come has failed."""
SUMMARISE: Final = "aiplacement_courseassist_summarise_text"


class Summary(NamedTuple):
    """What one click came to."""

    came: float
    """Seconds from the first click of the class to this one."""
    ended: float
    data: dict[str, Any]
    """The web service's answer; an exception is under `exception`."""

    @property
    def seconds(self) -> float:
        return self.ended - self.came

    @property
    def answered(self) -> bool:
        return bool(self.data.get("success"))

    @property
    def words(self) -> str:
        """Title and sentence that the person reads instead of a summary, or an exception's."""
        return (
            f"{self.data.get('error')}: {self.data.get('errormessage')}" if "success" in self.data else str(self.data)
        )


class Person(NamedTuple):
    """Cookies and key of somebody who is logged in; they outlive a restart of the web server."""

    cookies: dict[str, str]
    sesskey: str


class Browsers:
    """Connections of all people to one site."""

    def __init__(self, site: Site, http: aiohttp.ClientSession) -> None:
        self._site = site
        self._http = http

    async def page(self, person: Person | None, path: str) -> tuple[float, str]:
        """Return the seconds that a page takes, and its text."""
        began = time.monotonic()
        cookies = person.cookies if person else {}
        async with self._http.get(self._site.web.url + path, cookies=cookies) as response:
            text = await response.text()
            assert response.status == 200, (response.status, text[-2000:])
        return time.monotonic() - began, text

    async def log_in(self, name: str) -> Person:
        """Log in by the form of Moodle's page."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(self._site.web.url, cookie_jar=jar) as http:
            async with http.get("/login/index.php") as response:
                token = _found(r'name="logintoken" value="([^"]+)"', await response.text())
            form = {"username": name, "password": PASSWORD, "logintoken": token}
            async with http.post("/login/index.php", data=form, allow_redirects=False) as response:
                assert "testsession" in response.headers.get("Location", ""), f"{name} is not logged in"
            # The form's own next page is the dashboard, which costs a hundred people half a minute.
            async with http.get("/login/index.php") as response:
                sesskey = _found(r'"sesskey":"([^"]+)"', await response.text())
        return Person({cookie.key: cookie.value for cookie in jar}, sesskey)

    async def service(self, person: Person, method: str, **args: object) -> dict[str, Any]:
        """Return the answer of one function of Moodle's AJAX service, or its exception under `exception`."""
        address = f"{self._site.web.url}/lib/ajax/service.php"
        query = {"sesskey": person.sesskey, "info": method}
        body = [{"index": 0, "methodname": method, "args": args}]
        async with self._http.post(address, params=query, json=body, cookies=person.cookies) as response:
            assert response.status == 200, (response.status, await response.text())
            said = await response.json(content_type=None)
        first = said[0] if isinstance(said, list) else said
        return dict(first["data"]) if first.get("error") is False else {"exception": first}

    async def summarise(self, person: Person, page: int, text: str, *, since: float | None = None) -> Summary:
        """Press "summarise" on a page with this text; `since` is the class's first click."""
        came = time.monotonic()
        context = self._site.made.pages[page]["context"]
        data = await self.service(person, SUMMARISE, contextid=context, prompttext=text)
        since = came if since is None else since
        return Summary(came - since, time.monotonic() - since, data)


@asynccontextmanager
async def browsers(site: Site) -> AsyncIterator[Browsers]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as http:
        yield Browsers(site, http)


def ideal(clicks: Sequence[float], *, slots: int, seconds: float) -> float:
    """Return when the last answer comes if every slot takes the next click at once; a call takes `seconds`."""
    free = [0.0] * slots
    for click in sorted(clicks):
        heapq.heappush(free, max(click, heapq.heappop(free)) + seconds)
    return max(free)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern} is not on the page: {text[:2000]}"
    return match[1]
