"""The reader of streams, however the bytes are cut: sans I/O, over every answer of the corpus."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Usage
from sidecar.provider.answers.plain_events import plain_data
from sidecar.provider.answers.stream import StreamReader
from tests.support.corpus import Sample, samples

CALL = Call(messages=[{"role": "user", "content": "What is a fraction?"}], max_tokens=20)
GOOD = [sample for sample in samples() if sample.answer.startswith(b"HTTP/1.1 200")]


def reading(headers: dict[str, str], pieces: list[bytes]) -> tuple[list[bytes], str, Usage]:
    """Return the events of an answer in these pieces, the failure that ended them, and the usage."""
    usage, found, failure = Usage(), list[bytes](), ""
    reader = StreamReader(headers, CALL, (), usage)
    try:
        for piece in pieces:
            for data in reader.feed(piece):
                found.append(data)
            if reader.done:
                break
        else:
            for data in reader.end():
                found.append(data)
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


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}',
        b'{"choices":[{"delta":{"error":{"message":"no"}}}]}',
        b'{"choices":[{"delta":{},"error":{"message":"no"}}]}',
        b'{"choices":[{"delta":{}}],"error":{"message":"no"}}',
        b'{"choices":[{"message":{"content":"a"}}]}',
        b'{"choices":[{"delta":{}},{"delta":{}}]}',
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"delta":{"content":NaN}}]}',
        b'{"choices":[{"delta":{}}]}\nid: 1',
    ],
)
def test_what_has_to_be_looked_at_goes_the_long_way(data: bytes) -> None:
    """Ends, counts, errors, other wrappings and broken text are not plain."""
    plain = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert plain_data(plain * 2) == [b'{"choices":[{"delta":{"content":"a"}}]}'] * 2
    assert plain_data(plain + b"data: " + data + b"\n\n") is None
