"""The words of the code: how docstrings open, what a caller is called, and which words no name may hold."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OPENINGS = frozenset(
    [
        "what",
        "who",
        "whose",
        "whom",
        "where",
        "whether",
        "how",
        "why",
        "when",
        "while",
        "if",
        "it",
        "they",
        "he",
        "nobody",
        "somebody",
        "whoever",
        "whatever",
        "that",
        "nothing",
        "everything",
        "everybody",
    ]
)
"""A docstring begins with a verb or a noun of the field."""
PERSONS = re.compile(r"\b(he|him|his|whom|whoever)\b", re.IGNORECASE)
"""A caller is "the caller"."""
NAMES = frozenset(
    [
        "door",
        "doors",
        "ask",
        "asks",
        "asked",
        "asking",
        "asker",
        "kept",
        "told",
        "tells",
        "telling",
        "spoken",
        "insist",
        "beside",
        "elsewhere",
        "workbench",
        "reasons",
        "unreached",
        "partner",
    ]
)
"""Words that no name of ours holds; the field's own terms are in docs/design.md."""
WIRE = frozenset({"kept", "kept_bytes"})
"""Fields of `GET /status`, whose names callers rely on."""
SOURCES = sorted(path for top in ("sidecar", "worker") for path in (ROOT / top).rglob("*.py"))


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes and functions, and the strings that describe a field or constant."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that the file itself gives: of functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_open_with_a_verb_or_a_noun(path: Path) -> None:
    """No docstring makes its reader wait for the subject."""
    found = [text for _, text in docstrings(ast.parse(path.read_text("utf-8")))]

    assert [text for text in found if re.split(r"\W", text.strip(), maxsplit=1)[0].lower() in OPENINGS] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_caller_is_called_the_caller(path: Path) -> None:
    """Neither docstrings nor comments speak of a caller, a process or a client as of a person."""
    source = path.read_text("utf-8")

    assert [found for found in (*docstrings(ast.parse(source)), *comments(source)) if PERSONS.search(found[1])] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_in_the_fields_words(path: Path) -> None:
    """No name holds a word that a stranger has to learn first. `door` stays in the log, where operators know it."""
    tree = ast.parse(path.read_text("utf-8"))

    assert sorted({name for _, name in names(tree) if name not in WIRE and words(name) & NAMES}) == []


def test_files_are_in_the_fields_words() -> None:
    """Neither are files named so."""
    assert [path.name for path in SOURCES if words(path.stem) & NAMES] == []
