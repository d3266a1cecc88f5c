"""The answer cache: each answer for its time, all of them under one bound, readers remembered."""

import pytest

from sidecar.engine.answer_cache import READER_BYTES, AnswerCache, Key, size_of

TEXT: Key[str] = Key(b"text")
BODY: Key[bytes] = Key(b"body")


def test_an_answer_ends() -> None:
    """After its time an answer is gone."""
    now = 0.0
    cache = AnswerCache(ttl=10.0, size=10_000, clock=lambda: now)
    cache.put(TEXT, "text")
    now = 9.9
    assert cache.get(TEXT, "") == "text"
    now = 10.0
    assert cache.get(TEXT, "") is None
    assert (len(cache), cache.held) == (0, 0)


def test_answers_whose_time_is_over_make_room_before_the_bound() -> None:
    """A quiet site holds the answers of an hour, and not of the weeks that fill the bound."""
    now = 0.0
    cache = AnswerCache(ttl=10.0, size=10_000_000, clock=lambda: now)
    for number in range(1000):
        now = float(number)
        cache.put(Key(b"%d" % number), "text")
    assert len(cache) == 10
    assert cache.held == 10 * (512 + 4)


def test_the_cache_is_bounded() -> None:
    """The least recently used answers make room; one that is larger than everything is left out."""
    cache = AnswerCache(ttl=10.0, size=4 * 1512, clock=lambda: 0.0)
    a, b, c, d, e, f = (Key[str](name) for name in (b"a", b"b", b"c", b"d", b"e", b"f"))
    for key in (a, b, c, d):
        cache.put(key, "x" * 1000)
    assert cache.get(a, "") is not None
    cache.put(e, "x" * 1000)
    assert cache.get(b, "") is None
    assert cache.get(a, "") is not None
    cache.put(f, "x" * 10_000)
    assert cache.get(f, "") is None
    assert cache.held == 4 * 1512


def test_texts_and_bodies_share_one_bound() -> None:
    """A body makes room among texts and a text among bodies; the bound holds for both together."""
    cache = AnswerCache(ttl=10.0, size=2 * 1512, clock=lambda: 0.0)
    other: Key[str] = Key(b"other")
    cache.put(TEXT, "x" * 1000)
    cache.put(BODY, b"x" * 1000)
    assert cache.held == 2 * 1512
    cache.put(other, "x" * 1000)
    assert (cache.get(TEXT, ""), cache.get(BODY, ""), len(cache)) == (None, b"x" * 1000, 2)
    cache.put(TEXT, "x" * 1000)
    assert (cache.get(other, ""), cache.get(BODY, ""), cache.held) == (None, b"x" * 1000, 2 * 1512)


@pytest.mark.parametrize("text", ["", "plain", "é", "水", "🌊", "\ud800"])
def test_a_text_counts_as_much_as_its_body(text: str) -> None:
    """The same answer takes the same share of the bound as text and as bytes."""
    assert size_of(text) == size_of(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(("ttl", "size"), [(0.0, 1000), (10.0, 0)])
def test_the_cache_can_be_turned_off(ttl: float, size: int) -> None:
    """CACHE_TTL=0 or CACHE_BYTES=0 stores nothing."""
    cache = AnswerCache(ttl=ttl, size=size)
    cache.put(TEXT, "text")
    assert len(cache) == 0


def test_readers_are_bounded_and_counted() -> None:
    """Remembering readers takes memory too, and counts."""
    cache = AnswerCache(ttl=10.0, size=10_000)
    cache.put(TEXT, "text")
    before = cache.held
    for number in range(5):
        cache.read(TEXT, f"user{number}")
        cache.read(TEXT, f"user{number}")
    assert cache.held == before + 5 * READER_BYTES
    cache.put(TEXT, "text")
    assert cache.held == before
