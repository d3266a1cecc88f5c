"""Bodies that came packed although nobody asked for it."""

import gzip
import zlib
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.provider.decompression import unpacked
from tests.support.refusals import row


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKINGS: Final = [
    row("gzip", "gzip", gzip.compress),
    row("gzip-unannounced", "", gzip.compress),
    row("deflate", "deflate", zlib.compress),
    row("deflate-without-a-head", "Deflate", _bare),
]


@pytest.mark.parametrize(("named", "pack"), PACKINGS)
def test_a_packed_body_is_unpacked_to_its_bound(named: str, pack: Any) -> None:
    """A bomb costs no more memory than any other body."""
    headers = {"content-encoding": named} if named else {}
    assert unpacked(pack(b"a" * 100), headers, 1000) == b"a" * 100
    assert unpacked(pack(b"a" * 10**7), headers, 1000) == b"a" * 1000


def test_what_came_of_a_packed_body_is_used_and_what_is_not_packed_stays() -> None:
    """A body is cut at a bound of its own; a header alone packs nothing."""
    body = bytes(range(256)) * 40
    assert body.startswith(unpacked(gzip.compress(body)[:-20], {"content-encoding": "gzip"}, 10**6))
    assert unpacked(b'{"error":"x"}', {"content-encoding": "gzip"}, 100) == b'{"error":"x"}'
    assert unpacked(b"\xff\xfe", {}, 100) == b"\xff\xfe"


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", ""]), st.integers(1, 500))
def test_unpacking_never_raises_and_never_grows_over_its_bound(body: bytes, named: str, limit: int) -> None:
    """Whatever comes."""
    for packed in (body, gzip.compress(body * 50), b"\x1f\x8b" + body):
        assert len(unpacked(packed, {"content-encoding": named}, limit)) <= max(limit, len(packed))
