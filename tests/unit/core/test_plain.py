"""Promises of quoted words: what is shown in a page or a log line reads as it is written."""

import pytest

from sidecar.core.errors import plain


@pytest.mark.parametrize("control", ["\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"])
def test_controls_of_direction_are_left_out(control: str) -> None:
    """A provider's words cannot turn a sentence around."""
    assert plain(f"refused{control}key") == "refused key"


def test_words_of_every_script_stay() -> None:
    """Text that runs from right to left needs no controls."""
    assert plain("שלום עולם, مرحبا") == "שלום עולם, مرحبا"
