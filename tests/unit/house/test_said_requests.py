"""How tests know which request a reply is for."""

import pytest

from tests.support.http_sidecar import chunks, head, post
from tests.support.said_requests import Said, SaidRequests

GET = head(path="/status?x=1", method="GET")
AI, STATUS = Said("POST", "/ai"), Said("GET", "/status")


def heard(*parts: bytes) -> list[Said]:
    said = SaidRequests()
    for part in parts:
        said.add(part)
    return [said.next() for _ in range(3)]


@pytest.mark.parametrize(
    ("parts", "first", "second"),
    [
        ((post() + GET,), AI, STATUS),
        ((post() + b"\r\n" + GET,), AI, STATUS),
        ((head("Transfer-Encoding: chunked") + chunks(b"ab", b"c") + GET,), AI, STATUS),
        (tuple(bytes([byte]) for byte in post() + GET), AI, STATUS),
        ((GET + b"nonsense /v1/x\r\n\r\n",), STATUS, Said("", "/v1/x")),
        ((b"POST /ai HTTP/1.1\r\nHost:",), Said("", "/ai"), Said("", "/ai")),
        ((), Said("", ""), Said("", "")),
    ],
)
def test_requests_are_told_apart(parts: tuple[bytes, ...], first: Said, second: Said) -> None:
    """Bodies are skipped, queries left out, and what is no HTTP has no method."""
    assert heard(*parts)[:2] == [first, second]


def test_a_body_that_comes_after_its_reply_is_no_request() -> None:
    """A refused caller may go on sending."""
    said = SaidRequests()
    said.add(head("Content-Length: 4"))
    assert said.next() == AI
    said.add(b"GE")
    said.add(b"T " + GET)
    assert said.next() == STATUS
