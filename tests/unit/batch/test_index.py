"""The index of a batch: what was put is found, whatever the ids."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.batch.index import Index

# Few first halves, so that many ids want the same slot.
IDS = st.tuples(st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\1" * 8]), st.binary(min_size=8, max_size=8)).map(b"".join)


@given(st.lists(st.tuples(IDS | st.binary(min_size=16, max_size=16), st.integers(0, 2**63 - 1))))
def test_it_finds_what_a_dict_finds(pairs: list[tuple[bytes, int]]) -> None:
    """The latest place of each id, and nothing for others."""
    index = Index()
    known: dict[bytes, int] = {}
    for name, place in pairs:
        assert index.find(name) == known.get(name)
        index.put(name, place)
        known[name] = place
    assert len(index) == len(known)
    assert {name: index.find(name) for name in known} == known
    assert index.find(b"?" * 16) == known.get(b"?" * 16)


def test_it_grows() -> None:
    """Far beyond its first size, every id is found."""
    index = Index()
    names = [number.to_bytes(8, "little") * 2 for number in range(20_000)]
    for place, name in enumerate(names):
        index.put(name, place)
    assert [index.find(name) for name in names] == list(range(20_000))
