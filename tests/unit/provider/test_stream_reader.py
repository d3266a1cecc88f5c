"""The reader of streams, however the bytes are cut: sans I/O, over every answer of the corpus."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import UpstreamFailure
from sidecar.core.ports import Call, Usage
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
