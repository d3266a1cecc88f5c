"""Thoughts of long answers: left out wherever a step of the search ends."""

import pytest

from sidecar.core import long_text
from sidecar.provider.answers import thoughts
from sidecar.provider.answers.thoughts import without_thoughts


@pytest.mark.parametrize("offset", range(20))
def test_thoughts_end_at_their_tag(offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In either case of letters, with characters before it whose small letters are longer."""
    monkeypatch.setattr(thoughts, "_STEP", 16)
    monkeypatch.setattr(long_text, "PIECE", 9)
    before = "\u0130" * offset
    assert without_thoughts(f" <Think>{before}</THINK>\n  The answer <b>.") == "The answer <b>."
    assert without_thoughts(f"{before}\n</think>\n\nThe answer.") == "The answer."
    assert without_thoughts(f"<think>{before}") == ""
    assert without_thoughts(f"<think>{before}</think>") == ""
    assert without_thoughts(f"{before}a <think> tag and </think>") == f"{before}a <think> tag and </think>"
