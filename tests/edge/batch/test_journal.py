"""The journal of a batch: wherever a crash cuts it, what stands before the cut is found and the rest can be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.batch.journal import Journal, JournalError, Record


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def record(number: int, text: str = "") -> Record:
    return Record(id=name(number).hex(), success=True, data=text or f"Ä answer {number}")


@contextmanager
def journal(folder: Path, *, failures: bool = True) -> Iterator[Journal]:
    opened = Journal.open(folder / "out.part", folder / "out")
    try:
        opened.load(failures=failures)
        yield opened
    finally:
        opened.close()


def test_a_cut_anywhere_costs_one_record(tmp_path: Path) -> None:
    """At every byte: whole records are found, a torn one is not, and what is appended then is found again."""
    with journal(tmp_path) as fresh:
        for number in range(4):
            fresh.put(record(number))
    whole = (tmp_path / "out.part").read_bytes()
    for cut in range(len(whole) + 1):
        (tmp_path / "out.part").write_bytes(whole[:cut])
        complete = max(0, whole[:cut].count(b"\n") - 1)
        with journal(tmp_path) as torn:
            assert len(torn) == complete
            torn.put(record(9))
        with journal(tmp_path) as again:
            found = [again.find(name(number)) for number in range(4)]
            assert found == [record(number) if number < complete else None for number in range(4)]
            assert again.find(name(9)) == record(9)


def test_the_latest_record_counts(tmp_path: Path) -> None:
    """Of this run or of an earlier one."""
    with journal(tmp_path) as first:
        first.put(record(1, "old"))
        first.put(record(1, "new"))
        assert first.find(name(1)) == record(1, "new")
    with journal(tmp_path) as second:
        assert second.find(name(1)) == record(1, "new")


def test_what_somebody_else_changed_is_no_answer(tmp_path: Path) -> None:
    """A reply that is not where it was is refused, not mixed up with another."""
    with journal(tmp_path) as opened:
        opened.put(record(1))
        (tmp_path / "out.part").write_bytes(b"x" * 1000)
        with pytest.raises(JournalError, match="changed by somebody else"):
            opened.find(name(1))


def test_a_name_that_was_given_away_is_taken_anew(tmp_path: Path) -> None:
    """A process that opened it just before its owner removed it gets a file that has that name."""
    with journal(tmp_path):
        with pytest.raises(JournalError, match="Another batch"), journal(tmp_path):
            raise AssertionError
        (tmp_path / "out.part").unlink()
        with journal(tmp_path) as other:
            other.put(record(1))
            assert (tmp_path / "out.part").exists()


def test_it_is_as_private_as_the_output(tmp_path: Path) -> None:
    """It has the same texts."""
    (tmp_path / "out").touch(mode=0o600)
    with journal(tmp_path):
        assert (tmp_path / "out.part").stat().st_mode & 0o777 == 0o600
