"""HTML of simple Markdown without a parser: paragraphs, headings, lists, code. Inside a line writes simple_line.py.

Most answers are of this kind, and a parser in Python takes fifteen times as long. What is written here is what html.py
writes of the same text, to the letter; a text with anything whose meaning is not certain is left to the parser.
"""

import re
from collections.abc import Callable
from typing import Final

from sidecar.core.late_pattern import late_pattern
from sidecar.engine.formats.simple_line import HARD, TRIM, code, simple_line

MARK: Final = "<code hidden></code>"
"""The beginning of every answer; html.py says why."""
HEADINGS: Final = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""Headings below those of the page around an answer."""
LONGEST: Final = 16 * 1024
"""Characters of a text that is tried, at 20 to 40 ns each."""
DEEPEST: Final = 10
"""Lists inside lists."""

Rich = Callable[[str], str]
"""Writes the inside of one block."""

_BLOCKS: Final = "|\t\r\x00"
"""Signs that can change a whole block: of tables and of indents, and what a parser replaces first."""
_BEGIN: Final = (
    r"(?:[^#>\-+*_=~`|$\\<0-9\s]|\*{1,2}[^\s*]|_[^\s_]|`[^`]|[~$](?![~$])|[-+](?![ +-]|$)|<|\\(?!\[)"
    r"|(?![0-9]{1,9}[.)](?: |$))[0-9])"
)
"""The beginning of a line that is neither another block's nor a formula of its own."""
_WORDS: Final = re.compile(_BEGIN)
_ITEM: Final = re.compile(r"( *)([-+*]|([0-9]{1,9})[.)])( {1,4})([^ ].*)")
_HEADING: Final = late_pattern(r"(#{1,6}) +([^ ].*)")
_FENCE: Final = late_pattern(r"```(?: *([A-Za-z0-9][A-Za-z0-9+#._-]{0,29}))? *")
_RULE: Final = late_pattern(r"(?:-{3,}|\*{3,}|_{3,}) *")


class _Beyond(Exception):
    """A text is not simple."""


def simple_html(text: str, rich: Rich | None = None) -> str | None:
    """Return the answer as one line of HTML; None for a text that a parser has to read.

    With `rich`, which writes the inside of any block, only the blocks have to be simple.
    """
    if len(text) > LONGEST or any(sign in text for sign in _BLOCKS):
        return None
    hard = any(sign in text for sign in HARD)

    def inside(lines: list[str]) -> str:
        line = lines[0] if len(lines) == 1 else "\n".join([line.strip(" ") for line in lines])
        written = simple_line(line, hard=hard)
        if written is None:
            if rich is None:
                raise _Beyond
            written = rich("\n".join(lines).strip(TRIM))
        return written

    try:
        blocks = _Blocks()
        for line in text.split("\n"):
            blocks.take(line)
        return MARK + blocks.written(inside)
    except _Beyond:
        return None


Inside = Callable[[list[str]], str]


class _Lines:
    """One block whose lines are text."""

    __slots__ = ("begin", "end", "lines")

    def __init__(self, begin: str, end: str, line: str) -> None:
        self.begin = begin
        self.end = end
        self.lines = [line]

    def written(self, inside: Inside) -> str:
        return f"{self.begin}{inside(self.lines)}{self.end}"


class _Item:
    """One item: its text, and the lists below."""

    __slots__ = ("begin", "below", "lines")

    def __init__(self, begin: str, line: str) -> None:
        self.begin = begin
        self.lines = [line]
        self.below: list[_List] = []

    def written(self, inside: Inside, *, loose: bool) -> str:
        text = f"<p>{inside(self.lines)}</p>" if loose else inside(self.lines)
        below = "".join([one.written(inside) for one in self.below]) if self.below else ""
        return f"{self.begin}{text}{below}</li>"


class _List:
    """One list."""

    __slots__ = ("column", "indent", "items", "loose", "marker", "number", "start")

    def __init__(self, marker: str, indent: int, start: int | None) -> None:
        self.marker = marker
        self.indent = indent
        self.column = 0
        """Column at which the words of the last item begin."""
        self.start = start
        """Number of the first item; None without numbers."""
        self.number = start
        """Number that the next item has by itself."""
        self.loose = False
        """True with a blank line between two items."""
        self.items: list[_Item] = []

    def add(self, number: int | None, column: int, line: str) -> list[str]:
        """Add an item; return its lines, to which more may be added."""
        item = _Item("<li>" if number == self.number else f'<li value="{number}">', line)
        self.number = None if number is None else number + 1
        self.column = column
        self.items.append(item)
        return item.lines

    def written(self, inside: Inside) -> str:
        tag = "ul" if self.start is None else "ol"
        begin = tag if self.start in {None, 1} else f'ol start="{self.start}"'
        return f"<{begin}>{''.join([item.written(inside, loose=self.loose) for item in self.items])}</{tag}>"


class _Blocks:
    """The blocks of a text, line by line."""

    def __init__(self) -> None:
        self._found: list[_Lines | _List | str] = []
        self._open: list[_List] = []
        """The list that the next line may belong to, and those inside."""
        self._lines: list[str] | None = None
        """Lines of the paragraph that the next line may belong to."""
        self._column = 0
        """Column of that paragraph's list item, to which spaces before a line are the list's."""
        self._language = ""
        self._code: list[str] | None = None
        """Lines of the block of code that is open, and its language."""

    def written(self, inside: Inside) -> str:
        if self._code is not None:
            raise _Beyond
        return "".join([block if isinstance(block, str) else block.written(inside) for block in self._found])

    def take(self, line: str) -> None:
        """Read one line; raise `_Beyond` for one that is not simple."""
        if self._code is not None:
            self._in_code(self._code, line)
            return
        if line[:1].isalpha():
            self._words(line)
            return
        words = line.lstrip(" ")
        if not words:
            self._lines = None
        elif (item := _ITEM.fullmatch(line)) is not None and _WORDS.match(line, item.start(5)) is not None:
            self._item(item)
        elif _WORDS.match(words) is not None:
            self._words(line)
        elif (heading := _HEADING.fullmatch(line)) is not None:
            self._heading(heading[1], heading[2].rstrip(" "))
        elif (fence := _FENCE.fullmatch(line)) is not None:
            self._language, self._code = fence[1] or "", []
        elif _RULE.fullmatch(line) is not None:
            self._alone("<hr>")
        else:
            raise _Beyond

    def _words(self, line: str) -> None:
        if self._lines is not None:  # of an item too, whatever the indent
            spaces = min(len(line) - len(line.lstrip(" ")), self._column)
            self._lines.append(line[spaces:])
            return
        if line.startswith(" "):
            raise _Beyond
        block = _Lines("<p>", "</p>", line)
        self._alone(block)
        self._lines = block.lines

    def _alone(self, block: _Lines | _List | str) -> None:
        """Add a block outside of the lists before it."""
        self._open.clear()
        self._lines, self._column = None, 0
        self._found.append(block)

    def _in_code(self, lines: list[str], line: str) -> None:
        if not line.lstrip(" ").startswith("```"):
            lines.append(f"{line}\n")
        elif line.rstrip(" ").strip("`"):
            raise _Beyond
        else:
            self._code = None
            self._alone(code("".join(lines), self._language))

    def _heading(self, signs: str, words: str) -> None:
        if words.endswith("#"):
            raise _Beyond
        tag = HEADINGS[f"h{len(signs)}"]
        self._alone(_Lines(f"<{tag}>", f"</{tag}>", words))

    def _item(self, found: re.Match[str]) -> None:
        spaces, sign, digits, pad, words = found.groups()
        number = None if digits is None else int(digits)
        inside = self._list_at(len(spaces), sign[-1], number)
        self._column = len(spaces) + len(sign) + len(pad)
        self._lines = inside.add(number, self._column, words)

    def _list_at(self, indent: int, marker: str, number: int | None) -> _List:
        """Return the list that an item belongs to: one that is open, or a new one."""
        lists, between = self._open, self._lines is None
        while lists and indent < lists[-1].indent:
            if len(lists) == 1 or indent > lists[-2].indent:
                raise _Beyond
            lists.pop()
        if lists and indent == lists[-1].indent:
            if lists[-1].marker == marker:
                lists[-1].loose = lists[-1].loose or between
                return lists[-1]
            if len(lists) > 1:
                raise _Beyond
            lists.clear()
        elif not between and number not in {None, 1}:
            raise _Beyond  # a line of the paragraph, which happens to begin with a number
        if lists:
            return self._below(lists[-1], _List(marker, indent, number))
        if indent > 3:
            raise _Beyond
        one = _List(marker, indent, number)
        self._alone(one)
        self._open.append(one)
        return one

    def _below(self, above: _List, one: _List) -> _List:
        if self._lines is None or not 0 <= one.indent - above.column <= 3 or len(self._open) >= DEEPEST:
            raise _Beyond
        above.items[-1].below.append(one)
        self._open.append(one)
        return one
