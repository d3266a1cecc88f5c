"""docs/faults.md names a test for each fault, and every test and event that it names is there."""

import ast
import re
from functools import cache

import pytest

from sidecar.http.responses.statuses import STATUSES
from tests.support.paths import ROOT

DOC = (ROOT / "docs/faults.md").read_text("utf-8")
HEADING = "## Every fault and its proof\n"
JOBS = "## Redis, workers and jobs\n"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
EVENTS = set(re.findall(r"`(\w+)`", (ROOT / "docs/operations.md").read_text("utf-8").partition("## Log\n")[2]))


def rows(heading: str = HEADING) -> list[list[str]]:
    """The rows of the table: fault, reply, log, loss, tests."""
    section = DOC.partition(heading)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_is_found() -> None:
    """So that the promises below hold of something."""
    assert len(rows()) > 30
    assert len(rows(JOBS)) > 10


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


@pytest.mark.parametrize("row", rows(JOBS), ids=lambda row: row[0])
def test_a_fault_of_jobs_has_files_of_tests(row: list[str]) -> None:
    """Each is named by its path under tests, or by its name alone beside the one before."""
    assert all(row)
    found = re.findall(r"`([\w/]+\.py)`", row[-1])
    assert re.sub(r"`[\w/]+\.py`", "", row[-1]).strip(", ") == ""
    folder = ""
    for name in found:
        folder = name.rpartition("/")[0] or folder
        assert (ROOT / "tests" / folder / name.rpartition("/")[2]).is_file(), name
    assert found


def test_its_events_and_codes_are_there() -> None:
    """Events as docs/operations.md explains them, codes as replies have them."""
    for row in rows() + rows(JOBS):
        assert set(re.findall(r"`(\w+)`", row[2])) <= EVENTS, row
        assert set(re.findall(r"`([a-z]+_[a-z_]+)`", row[1])) <= STATUSES.keys(), row
