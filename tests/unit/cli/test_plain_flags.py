"""Flags read without argparse: the same values, and the rest is left to argparse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.cli.flags import add_settings, parser
from sidecar.cli.plain_flags import plain_flags
from sidecar.config.settings import SETTINGS
from sidecar.core.command_line import Parser

OPTIONS = (*(setting.option for setting in SETTINGS), "--env-file", "--stdio", "--jobs", "--demo")
VALUES = ("", "x", "true", "=", "a=b", "-1", "--port", "two words", "ü")
WORDS = (
    st.sampled_from([f"{option}={value}" for option in OPTIONS for value in VALUES])
    | st.sampled_from(OPTIONS)
    | st.sampled_from((*VALUES, "--", "-", "--por=1", "--version", "-h", "--no-such=1", "stdio", "--env_file=x"))
)


def by_argparse() -> Parser:
    made = parser(description="", epilog="")
    for flag in ("--stdio", "--jobs"):
        made.add_argument(flag, action="store_true")
    add_settings(made)
    return made


ARGPARSE = by_argparse()


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=5))
def test_what_is_read_is_what_argparse_reads(words: list[str]) -> None:
    """Whatever the words: the same value of every flag, or None."""
    found = plain_flags(words)
    assert found is None or found == ARGPARSE.read(words)


def test_the_plugin_s_flags_need_no_argparse() -> None:
    """Nor does a unit's."""
    words = ["--api-key=k", "--base-url=http://127.0.0.1/v1", "--model=m", "--max-tokens=5", "--stdio"]
    found = plain_flags([*words, "--summarize-threshold=7", "--http-mode", "--strict-status=false", "--model=n"])
    assert found is not None
    assert (found["openai_api_key"], found["openai_model"], found["http_mode"]) == ("k", "n", "true")
    assert (found["stdio"], found["demo"], found["port"]) == (True, False, None)


@pytest.mark.parametrize(
    "word", ["--port", "--http-mode true", "--stdio=true", "--no-such=1", "--version", "x", "--", ""]
)
def test_any_other_word_is_left_to_argparse(word: str) -> None:
    """A value of its own word, a mistake, a question."""
    assert plain_flags(["--port=1", *word.split(" ")]) is None
