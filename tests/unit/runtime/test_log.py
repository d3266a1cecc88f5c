"""How events look, and that other libraries' words are muted."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from sidecar.core import events
from sidecar.runtime import log as telemetry


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("sidecar")
    kept = (root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate, logging.raiseExceptions)
    stream = io.StringIO()
    telemetry.configure(stream, level="info", as_json=True)
    yield stream
    root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate, logging.raiseExceptions = kept


def test_an_event_is_one_line_of_json(log: io.StringIO) -> None:
    """Time, level, name and fields."""
    events.info("answered", action="chat", seconds=1.5)
    line = json.loads(log.getvalue())
    assert (line["event"], line["level"], line["action"], line["seconds"]) == ("answered", "info", "chat", 1.5)
    assert line["time"].endswith("Z")


def test_a_line_for_people_is_one_line(log: io.StringIO) -> None:
    """Whatever a field holds, no line ends early and none passes for another."""
    telemetry.configure(log, level="info", as_json=False)
    events.info("odd", text="two\nlines and a space", empty="")
    assert len(log.getvalue().splitlines()) == 1
    assert 'text="two lines and a space" empty=""' in log.getvalue()


def test_values_look_the_same_in_both_formats(log: io.StringIO) -> None:
    """Whoever greps for `true` or `null` finds them; nothing shows that the program is written in Python."""
    telemetry.configure(log, level="info", as_json=False)
    events.info("odd", yes=True, none=None, names=["a b", "c"], lanes={"day": 8}, seconds=1.5, kind={1}, text="True")
    assert 'yes=true none=null names="["a b","c"]" lanes={"day":8} seconds=1.5 kind=[1] text=True' in log.getvalue()


def test_a_librarys_arguments_and_exceptions_words_are_muted(log: io.StringIO) -> None:
    """They may be a user's."""
    logging.getLogger("lib").error("It failed for %s", "canary", exc_info=ValueError("canary"))
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: ValueError('canary')")
    assert "canary" not in log.getvalue()
    assert "It failed for %s" in log.getvalue()
    assert "ValueError" in log.getvalue()


def test_less_than_the_level_is_not_logged(log: io.StringIO) -> None:
    """LOG_LEVEL holds for our events."""
    telemetry.configure(log, level="error", as_json=True)
    events.warning("small")
    assert log.getvalue() == ""
