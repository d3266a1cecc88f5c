"""docs/faults.md names a test for each fault, and every test and event that it names is there."""

import ast
import re
from functools import cache

import pytest

from sidecar.http.responses.statuses import STATUSES
from tests.support.paths import ROOT

DOC = (ROOT / "docs/faults.md").read_text("utf-8")
HEADING = "## Every fault and its proof\n"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
EVENTS = set(re.findall(r"`(\w+)`", (ROOT / "docs/operations.md").read_text("utf-8").partition("## Log\n")[2]))


def rows() -> list[list[str]]:
    """The rows of the table: fault, reply, log, loss, tests."""
    lines = [line for line in DOC.partition(HEADING)[2].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_is_found() -> None:
    """So that the promises below hold of something."""
    assert len(rows()) > 30


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_fault_has_reply_log_loss_and_proof(row: list[str]) -> None:
    """No cell is blank, and the last one names tests alone."""
    assert len(row) == 5
    assert all(row)
    assert TEST.sub("", row[4]).strip(", ") == ""
    assert TEST.search(row[4])


@pytest.mark.parametrize("found", TEST.findall(DOC), ids="::".join)
def test_a_proof_is_there(found: tuple[str, str]) -> None:
    """A test that is renamed is renamed in the table."""
    path, name = found
    assert name in names_in(path)


def test_its_events_and_codes_are_there() -> None:
    """Events as docs/operations.md explains them, codes as replies have them."""
    for row in rows():
        assert set(re.findall(r"`(\w+)`", row[2])) <= EVENTS, row
        assert set(re.findall(r"`([a-z]+_[a-z_]+)`", row[1])) <= STATUSES.keys(), row
