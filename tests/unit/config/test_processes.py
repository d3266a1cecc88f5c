"""Promises of PROCESSES: a number, or one for each processor, and what does not go with several."""

import os

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigError


def processes(text: str, **more: str) -> int:
    return load({}, "/dev/null", {"OPENAI_API_KEY": "k", "PROCESSES": text} | more).processes


def test_one_process_serves_unless_more_are_set() -> None:
    """Blank is unset, as everywhere."""
    assert (processes(""), processes("3")) == (1, 3)


def test_auto_is_one_for_each_processor() -> None:
    """Those that this process may use count, as in a container that was given two of sixteen."""
    assert processes("auto") == processes("AUTO") == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["0", "65", "-1", "many", "1.5"])
def test_anything_else_is_refused(text: str) -> None:
    """The line says what is allowed."""
    with pytest.raises(ConfigError, match=r"PROCESSES=.*must be auto or"):
        processes(text)


def test_spans_are_one_processs() -> None:
    """TRACING goes with one process only, and the start says so."""
    with pytest.raises(ConfigError, match="PROCESSES=2: must be 1 with TRACING=true"):
        processes("2", TRACING="true")
    assert processes("1", TRACING="true") == 1
