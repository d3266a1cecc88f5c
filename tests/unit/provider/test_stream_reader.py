"""The reader of streams, however the bytes are cut: sans I/O, over every answer of the corpus."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Usage
from sidecar.provider.answers.plain_events import PIECE_BYTES, plain_events
from sidecar.provider.answers.stream import StreamReader
from tests.support.corpus import Sample, samples
from tests.support.event_streams import data_in

CALL = Call(messages=[{"role": "user", "content": "What is a fraction?"}], max_tokens=20)
GOOD = [sample for sample in samples() if sample.answer.startswith(b"HTTP/1.1 200")]


def reading(headers: dict[str, str], pieces: list[bytes], *, slowly: bool = False) -> tuple[list[bytes], str, Usage]:
    """Return the events of an answer in these pieces, the failure that ended them, and the usage."""
    usage, found, failure = Usage(), list[bytes](), ""
    reader = StreamReader(headers, CALL, (), usage)
    try:
        for piece in pieces:
            for item in reader.data(piece) if slowly else reader.feed(piece):
                found += data_in(item)
            if reader.done:
                break
        else:
            for item in reader.end():
                found += data_in(item)
    except UpstreamFailure as exc:
        failure = f"{type(exc).__name__}: {exc}"
    return [data for data in found if data], failure, usage


def parts(answer: bytes) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an HTTP answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value for name, _, value in fields}, body


@pytest.mark.parametrize("sample", GOOD, ids=[sample.name for sample in GOOD])
def test_an_answer_byte_by_byte_is_the_same(sample: Sample) -> None:
    """Gzip, documents and events alike."""
    headers, body = parts(sample.answer)
    whole = reading(headers, [body])
    assert reading(headers, [body[at : at + 1] for at in range(len(body))]) == whole


@given(st.sampled_from(GOOD), st.lists(st.integers(0, 10_000), max_size=8))
def test_an_answer_in_any_pieces_is_the_same(sample: Sample, places: list[int]) -> None:
    """Wherever the network cuts."""
    headers, body = parts(sample.answer)
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    assert reading(headers, [body[a:b] for a, b in itertools.pairwise(edges)]) == reading(headers, [body])


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "deflate", "br"]), st.booleans())
def test_whatever_comes_is_events_or_a_failure_of_the_tree(body: bytes, packed: str, events: bool) -> None:
    """No provider makes the reader raise another exception."""
    headers = {"content-encoding": packed, "content-type": "text/event-stream" if events else "application/json"}
    for raw in (body, b"data: " + body + b"\n\n", b'{"choices":' + body, b"\x1f\x8b" + body):
        reading(headers, [raw])


@pytest.mark.parametrize("sample", GOOD, ids=lambda sample: sample.name)
def test_whole_events_are_read_as_single_bytes_are(sample: Sample) -> None:
    """The fast way of plain events gives what the long way gives, one event or several at a time."""
    headers, body = parts(sample.answer)
    events = [event + b"\n\n" for event in body.split(b"\n\n")]
    one_by_one = reading(headers, [bytes((byte,)) for byte in body])
    for at_once in (1, 3):
        pieces = [b"".join(events[at : at + at_once]) for at in range(0, len(events), at_once)]
        pieces[-1] = pieces[-1][:-2]
        assert reading(headers, [piece for piece in pieces if piece]) == one_by_one


PLAIN = [
    b'{"choices":[{"delta":{"content":"a"}}]}',
    b'{"choices":[{"index":0,"delta":{"content":"\xc3\xa4"},"logprobs":null,"finish_reason":null}],"usage":null}',
    b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
    b'{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}',
    b'{"choices":[{"delta":{}},{"index":1,"delta":{}}]}',
    b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
    b'{"choices":[{"delta":{"content":"\\ud83d\\ude00"}}],"error":null}',
    b'{"choices":[{"delta":{"content":"a\\n\\ndata: b"}}]}',
]
OTHER = [
    b'{"choices":[{"delta":{"error":{"message":"no"}}}]}',
    b'{"choices":[{"delta":{},"error":{"message":"no"}}]}',
    b'{"choices":[{"delta":{}}],"error":{"message":"no"}}',
    b'{"choices":[{"delta":{}}],"\\u0065rror":{"message":"no"}}',
    b'{"choices":[{"delta":{}}],"error":{}}',
    b'{"choices":[{"message":{"content":"a"}}]}',
    b'{"choices":[{"delta":{},"finish_reason":"error"}]}',
    b'{"choices":[{"delta":{},"finish_reason":""}]}',
    b'{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":2.0}}',
    b'{"choices":[],"usage":{"prompt_tokens":12345678901234567890,"completion_tokens":2}}',
    b'{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}',
    b'{"choices":[],"base_resp":{"status_code":1002}}',
    b'{"choices":null}',
    b'{"choices":[null]}',
    b'{"id":"a"}',
    b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
    b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
    b'{"choices":[{"delta":{"content":"\xff"}}]}',
    b'{"choices":[{"delta":{"\xff":1}}]}',
    b'{"choices":[{"delta":{"content":NaN}}]}',
    b'{"choices":[{"delta":{}}]}\nid: 1',
    b'{"choices":[{"delta":{}}]}\n{"choices":[]}',
    b'{"choices":[{"delta":{}}]} {"choices":[]}',
    b'{"choices":[{"delta":{"a":[1',
    b'2]}}]},{"choices":[]}',
    b'{"choices":[\ndata: ]}',
    b'{"choices":[]}\nevent: error',
    b"null",
    b"",
    b"[DONE]",
    PLAIN[0] + b" " + PLAIN[0] + b"\n\ndata: ",
]


def whole(*data: bytes) -> bytes:
    """Return events with these data."""
    return b"".join(b"data: %s\n\n" % one for one in data)


@pytest.mark.parametrize("data", OTHER)
def test_what_has_to_be_looked_at_goes_the_long_way(data: bytes) -> None:
    """Errors, other wrappings, other counts and broken text are not plain, and leave no trace."""
    usage = Usage()
    assert plain_events(whole(PLAIN[0], PLAIN[4], data, PLAIN[0]), usage) is None
    assert usage == Usage()


@pytest.mark.parametrize("written", [b"\n", b"\r\n", b"tight"])
def test_plain_events_go_on_as_they_came(written: bytes) -> None:
    """Texts, tools, several choices, ends and counts; all that came together, in one piece, in three ways to write."""
    usage, body = Usage(), whole(*PLAIN)
    came = body.replace(b"data: {", b"data:{") if written == b"tight" else body.replace(b"\n", written)
    found = plain_events(came + b"data: [DONE]\n\n", usage)
    assert found is not None
    assert (found.pieces, found.rest) == ((whole(*PLAIN),), b"")
    assert (found.finished, found.done, usage) == (True, True, Usage(3, 4))


@pytest.mark.parametrize("sizes", [[100] * 1000, [PIECE_BYTES * 3], [100, PIECE_BYTES * 2, 100, 100, PIECE_BYTES, 9]])
def test_pieces_are_small_however_much_came(sizes: list[int]) -> None:
    """A caller who reads slowly is waited for between two pieces; an event that is larger is none of several."""
    data = [b'{"choices":[],"x":"%s"}' % (b"x" * size) for size in sizes]
    found = plain_events(whole(*data), Usage())
    assert found is not None
    assert [one for piece in found.pieces for one in data_in(piece)] == data
    assert all(len(piece) <= PIECE_BYTES or data_in(piece) == [piece] for piece in found.pieces)


COMMENT = b": wait\n\n"
FRAMES = st.one_of(
    st.sampled_from(PLAIN).map(whole),
    st.sampled_from(PLAIN).map(whole),
    st.sampled_from(PLAIN + OTHER).map(whole),
    st.sampled_from(PLAIN).map(lambda data: whole(data).replace(b"\n", b"\r\n")),
    st.sampled_from(PLAIN).map(lambda data: whole(data).replace(b"\n", b"\r")),
    st.sampled_from(PLAIN).map(lambda data: whole(data).replace(b": ", b":", 1)),
    st.sampled_from(PLAIN + OTHER).map(lambda data: whole(data).replace(b"\n", b"\r\n")),
    st.sampled_from([COMMENT, COMMENT[:-1], b"\n", b"data:", b"event: error\n", b"id: 7\n", PLAIN[0] + b"\n"]),
)


@given(st.lists(FRAMES, max_size=8), st.booleans(), st.lists(st.integers(0, 2000), max_size=6))
def test_both_ways_read_the_same(frames: list[bytes], done: bool, places: list[int]) -> None:
    """Whatever is mixed, and wherever the network cuts: data, failure and counts are those of the long way."""
    body = b"".join(frames) + b"data: [DONE]\n\n" * done
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    cut = [body[a:b] for a, b in itertools.pairwise(edges)]
    headers = {"content-type": "text/event-stream"}
    assert reading(headers, cut) == reading(headers, cut, slowly=True)
