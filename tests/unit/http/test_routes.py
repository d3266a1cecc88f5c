"""Which door an address leads to."""

import pytest

from sidecar.http.router import NOWHERE, Route, Routes

DOORS = Routes({path: Route(path, {}) for path in ("/a", "/a/{id}", "/{any}/end", "/a+{x}")})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("/a", "/a"), ("/a/b", "/a/{id}"), ("/a/", "/a/{id}"), ("/a/b/c\n", "/a/{id}"), ("/a/end", "/a/{id}")),
        *(("/b/end", "/{any}/end"), ("/b/c/end", "/{any}/end"), ("/a+1", "/a+{x}")),
        *(
            ("", NOWHERE.name),
            ("/", NOWHERE.name),
            ("/A", NOWHERE.name),
            ("/b/ends", NOWHERE.name),
            ("/aa", NOWHERE.name),
        ),
    ],
)
def test_an_address_leads_to_the_first_door_that_fits(path: str, name: str) -> None:
    """A whole path, or one with a name in it that stands for any text."""
    assert DOORS.find(path).name == name
