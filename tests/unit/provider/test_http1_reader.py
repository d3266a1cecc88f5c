"""The reader of HTTP/1.1 answers, beside h11: the same status, headers, body and end, and the same refusals."""

from collections.abc import Sequence

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.provider.stdlib.http1_reader import AnswerReader, Head, ProtocolError, request_bytes

LONGEST = 400
Outcome = tuple[object, ...]


def head_of(reader: AnswerReader, waiting: list[bytes]) -> Head | None:
    while (head := reader.head()) is None and waiting:
        reader.feed(waiting.pop(0))
    return head


def read_here(pieces: Sequence[bytes], *, ended: bool) -> Outcome:
    """Return what our reader makes of an answer."""
    reader, waiting, body = AnswerReader(LONGEST), list(pieces), b""
    head: Head | None = None
    try:
        if (head := head_of(reader, waiting)) is None:
            return ("head is missing",)
        while True:
            while data := reader.body():
                body += data
            if reader.over:
                break
            if waiting:
                reader.feed(waiting.pop(0))
            elif ended:
                reader.end()
            else:
                return head.status, head.fields, body, "body is missing"
    except ProtocolError:
        return ("refused",)
    except EOFError:
        return head.status if head else 0, body, "cut"
    return head.status, head.fields, body, reader.clean and not waiting


def read_by_h11(pieces: Sequence[bytes], *, ended: bool) -> Outcome:  # noqa: C901 - an event a branch
    """Return what h11 makes of an answer."""
    http, waiting = h11.Connection(h11.CLIENT, LONGEST), list(pieces)
    http.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
    http.send(h11.EndOfMessage())
    head: h11.Response | None = None
    body, closing = b"", False
    try:
        while True:
            event = http.next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif event is h11.NEED_DATA and waiting:
                piece = waiting.pop(0)
                http.receive_data(piece)
                if head is None and not b"HTTP/1.".startswith(http.trailing_data[0][:7]):
                    return ("refused",)
            elif event is h11.NEED_DATA and head is None:
                return ("head is missing",)
            elif event is h11.NEED_DATA and not ended:
                assert head is not None
                return head.status_code, merged(head), body, "body is missing"
            elif event is h11.NEED_DATA:
                closing = True
                http.receive_data(b"")
    except h11.RemoteProtocolError:
        return (head.status_code if head else 0, body, "cut") if closing else ("refused",)
    assert head is not None
    again = http.their_state is h11.DONE and not http.trailing_data[0] and not waiting and not closing
    return head.status_code, merged(head), body, again


def merged(head: h11.Response) -> dict[str, str]:
    fields: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


STATUS_LINES = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 429 Zu viele \xe4\x85",
    b"HTTP/1.1 204 None",
    b"HTTP/1.1 304 Same",
    b"HTTP/1.1 099 Odd",
    b"HTTP/1.1 101 Switch",
    b"HTTP/1.1 999 Odd",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 20 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.x 200 OK",
    b"HTTP/1.10 200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 +20 OK",
    b"HTTP/1.1 200OK",
    b"ICY 200 OK",
    b"http/1.1 200 OK",
    b"",
)
HEADERS = (
    b"Content-Length: 5",
    b"Content-Length: 5, 5",
    b"Content-Length: 5,6",
    b"Content-Length: 7",
    b"Content-Length: +5",
    b"Content-Length: 5 5",
    b"Content-Length:",
    b"Content-Length: " + b"0" * 19 + b"5",
    b"Content-Length: " + b"0" * 20 + b"5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: Chunked \t",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Connection: close",
    b"Connection: keep-alive, Close",
    b"Connection: keep-alive",
    b"X: one",
    b"x:two\t ",
    b"X : spaced",
    b"X[1]: brackets",
    b"X: form\x0cfeed",
    b"X: carriage\rreturn",
    b"X: \x01\x1c\x7f\xff",
    b"X:  ",
    b": nameless",
    b"no colon",
    b" folded",
    b"\t folded too ",
    b" ",
    b"\r",
)
BODIES = (
    b"",
    b"hello",
    b"hello and more",
    b"hel",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\nmore",
    b"5;name=value\r\nhello\r\n000\r\nX: trailer\r\n\r\n",
    b"5 \t\r\nhello\r\n0\r\n\n",
    b"5 ;x\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"a\r\nhello worl\r\nA\r\n0123456789\r\n0\r\nContent-Length: x\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    b"\r\n5\r\nhello\r\n0\r\n\r\n",
    b"0" * 19 + b"5\r\nhello\r\n0\r\n\r\n",
    b"0" * 21 + b"5\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"x" * 2 * LONGEST,
    b"0\r\nX: " + b"x" * 2 * LONGEST,
)
BLANKS = (b"\r\n", b"\n")
INTERIM = (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"\r\n")


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, ...]:
    """An answer of these parts, in pieces."""
    status = draw(st.sampled_from(STATUS_LINES) | st.just(STATUS_LINES[0]))
    lines = [status, *draw(st.lists(st.sampled_from(HEADERS), max_size=4))]
    end = draw(st.sampled_from(BLANKS))
    whole = draw(st.sampled_from(INTERIM)) + end.join(lines) + end + draw(st.sampled_from(BLANKS))
    whole += draw(st.sampled_from(BODIES))
    cuts = sorted(draw(st.sets(st.integers(1, len(whole)), max_size=3)))
    pieces = [whole[begin:stop] for begin, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    return tuple(piece for piece in pieces if piece)


@given(answers(), st.booleans())
@example((b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * LONGEST,), True)
@settings(max_examples=500)
def test_an_answer_is_read_as_h11_reads_it(pieces: tuple[bytes, ...], ended: bool) -> None:
    """Whatever its framing, its slips and its pieces: the same outcome, to the byte."""
    assert read_here(pieces, ended=ended) == read_by_h11(pieces, ended=ended)


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_with_each_body_is_read_as_h11_reads_it(header: bytes) -> None:
    """One piece each, and the connection's end behind it."""
    for body in BODIES:
        whole = [b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body]
        assert read_here(whole, ended=True) == read_by_h11(whole, ended=True), body


def test_each_status_line_is_read_as_h11_reads_it() -> None:
    """With a header and a body that fit."""
    for status in STATUS_LINES:
        whole = [status + b"\r\nContent-Length: 5\r\n\r\nhello"]
        assert read_here(whole, ended=False) == read_by_h11(whole, ended=False), status


WORDS = st.text("aZ1-_:\r\n\t \0\x7fé[", max_size=4)


@given(WORDS, st.lists(st.tuples(WORDS, WORDS), max_size=2), st.binary(max_size=3))
@settings(max_examples=200)
def test_a_request_is_written_as_h11_writes_it(target: str, headers: list[tuple[str, str]], body: bytes) -> None:
    """Or refused as h11 refuses it, and then without a word of what it held."""
    headers = [("Host", "h"), *headers, ("Content-Length", str(len(body)))]
    http = h11.Connection(h11.CLIENT)
    try:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        wanted = http.send(h11.Request(method="POST", target=target.encode("latin-1"), headers=raw)) or b""
        wanted += (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b"")
    except h11.LocalProtocolError:
        with pytest.raises(ProtocolError, match=r"^an address or a header that HTTP has no room for$"):
            request_bytes("POST", target, headers, body)
    else:
        assert request_bytes("POST", target, headers, body) == wanted


def test_interim_answers_without_end_are_none() -> None:
    """However they arrive; a few are read past."""
    for count, good in ((20, True), (100, False)):
        reader = AnswerReader(LONGEST)
        try:
            for _ in range(count):
                reader.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                assert reader.head() is None
        except ProtocolError:
            assert not good
        else:
            assert good


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\n\n\r\nx", b"HTTP/1.1 200 OK\n\r\n\n", b"HTTP/1.1 200 OK\r\n\n\n"])
def test_the_first_blank_line_ends_the_head(raw: bytes) -> None:
    """Of lines that end in either way."""
    assert read_here((raw,), ended=True) == read_by_h11((raw,), ended=True)
