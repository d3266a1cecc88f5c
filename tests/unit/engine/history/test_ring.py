"""Promises of the ring of samples: bounded, in order, and honest about what it does not know."""

from sidecar.engine.history.ring import COLUMNS, Ring


def test_the_oldest_sample_gives_way() -> None:
    """In order of time, whatever the place in memory."""
    ring = Ring(3)
    for number in range(5):
        ring.append(number, {"waiting": number * 10})
    assert len(ring) == 3
    assert ring.columns() == {"at": [2.0, 3.0, 4.0], "waiting": [20, 30, 40]}


def test_an_hour_is_bounded_from_the_start() -> None:
    """720 samples of five seconds are 76 KB, whatever happens."""
    ring = Ring(720)
    size = ring.bytes
    for number in range(2000):
        ring.append(number, dict.fromkeys(COLUMNS, 1.0))
    assert ring.bytes == size < 80_000


def test_what_is_not_known_is_no_zero() -> None:
    """A second without an answer has no latency; a column without any value is left out."""
    ring = Ring(4)
    ring.append(1.0, {"latency_p50": None, "running": 0})
    ring.append(2.0, {"latency_p50": 0.25, "running": 1})
    assert ring.columns() == {"at": [1.0, 2.0], "running": [0, 1], "latency_p50": [None, 0.25]}


def test_numbers_are_as_short_as_four_bytes_make_them() -> None:
    """0.1 goes out as 0.1, and a name that is no column not at all."""
    ring = Ring(1)
    ring.append(1.04, {"answered": 0.1, "timeout": 5.0})
    assert ring.columns() == {"at": [1.0], "answered": [0.1]}
