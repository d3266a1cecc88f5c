"""The route that an address leads to."""

import pytest
from aiohttp import web

from sidecar.http.request import Arrival
from sidecar.http.router import NOT_FOUND, Route, Routes

ROUTES = Routes({path: Route(path, {}) for path in ("/a", "/a/{id}", "/{any}/end", "/a+{x}")})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("/a", "/a"), ("/a/b", "/a/{id}"), ("/a/", "/a/{id}"), ("/a/b/c\n", "/a/{id}"), ("/a/end", "/a/{id}")),
        *(("/b/end", "/{any}/end"), ("/b/c/end", "/{any}/end"), ("/a+1", "/a+{x}")),
        *(
            ("", NOT_FOUND.name),
            ("/", NOT_FOUND.name),
            ("/A", NOT_FOUND.name),
            ("/b/ends", NOT_FOUND.name),
            ("/aa", NOT_FOUND.name),
        ),
    ],
)
def test_an_address_leads_to_the_first_route_that_matches(path: str, name: str) -> None:
    """A whole path, or one with a name in it that stands for any text."""
    assert ROUTES.find(path).name == name


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/chat/completions", "/v1/chat/completions"),
        ("//ai/", "/ai"),
        ("/v1/ai", "/ai"),
        ("/v2/ai", ""),
        ("/v1/nothing/", ""),
        ("/ai/other", ""),
        ("/" * 100_000, ""),
    ],
)
def test_a_slip_in_a_base_url_is_understood(path: str, meant: str) -> None:
    """A slash at the end, /v1 twice: the address that was meant is one that there is."""

    async def handler(_: Arrival) -> web.StreamResponse:
        raise AssertionError

    routes = {path: Route("x", {"POST": handler}) for path in ("/v1/chat/completions", "/ai")}
    assert Routes({**routes, "/v1/nothing": Route("x", {})}).meant(path) == meant
