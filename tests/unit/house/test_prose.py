"""The words of the code: how docstrings open, what a caller is called, and which words no name may hold."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.faults import listed
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


class Source(NamedTuple):
    """A file of ours, parsed once for all checks."""

    path: Path
    text: str
    nodes: tuple[ast.AST, ...]

    def docstrings(self) -> Iterator[tuple[int, str]]:
        """Docstrings of modules, classes and functions, and the strings that describe a field or constant."""
        for node in self.nodes:
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield node.lineno, text

    def comments(self) -> Iterator[tuple[int, str]]:
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string

    def names(self) -> Iterator[tuple[int, str]]:
        """Names that the file itself gives: of functions, classes, parameters, variables and attributes."""
        for node in self.nodes:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield node.lineno, node.name
                case ast.arg():
                    yield node.lineno, node.arg
                case ast.Name(ctx=ast.Store()):
                    yield node.lineno, node.id
                case ast.Attribute(ctx=ast.Store()):
                    yield node.lineno, node.attr

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache
def sources() -> list[Source]:
    """Return every file of the product."""
    found = sorted(path for top in ("sidecar", "worker") for path in (ROOT / top).rglob("*.py"))
    texts = [(path, path.read_text("utf-8")) for path in found]
    return [Source(path, text, tuple(ast.walk(ast.parse(text)))) for path, text in texts]


def test_there_are_files_to_check() -> None:
    """A moved folder does not make the checks below pass for want of files."""
    assert {"main.py", "engine.py", "arq_consumer.py"} <= {source.path.name for source in sources()}


@cache
def words(name: str) -> frozenset[str]:
    return frozenset(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    """No docstring makes its reader wait for the subject."""
    faults = [
        f"{source.at(line)}: {text}"
        for source in sources()
        for line, text in source.docstrings()
        if re.split(r"\W", text.strip(), maxsplit=1)[0].lower() in OPENINGS
    ]

    assert not faults, listed(faults)


def test_a_caller_is_called_the_caller() -> None:
    """Neither docstrings nor comments speak of a caller, a process or a client as of a person."""
    # Most files hold no such word at all, and reading tokens is the slow part of this check.
    faults = [
        f"{source.at(line)}: {text}"
        for source in sources()
        if PERSONS.search(source.text)
        for line, text in (*source.docstrings(), *source.comments())
        if PERSONS.search(text)
    ]

    assert not faults, listed(faults)


def test_names_are_in_the_fields_words() -> None:
    """No name holds a word that a stranger has to learn first. `door` stays in the log, where operators know it."""
    faults = [
        f"{source.at(line)}: {name}"
        for source in sources()
        for line, name in source.names()
        if name not in WIRE and words(name) & NAMES
    ]

    assert not faults, listed(faults)


def test_files_are_in_the_fields_words() -> None:
    """Neither are files named so."""
    assert [source.path.name for source in sources() if words(source.path.stem) & NAMES] == []
