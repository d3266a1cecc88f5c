"""The route that an address leads to."""

import pytest

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
