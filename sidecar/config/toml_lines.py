"""Lines of tables and keys in a TOML text that was read without a fault.

The text is cut into statements: lines are added until the reader takes them, so a key inside a string of several lines
is never mistaken for a field.
"""

from collections.abc import Iterator, Mapping
from typing import Any


class Lines:
    """Numbers of lines, from 1, by the array table's index and key; index None is the text's top level.

    A key of a table within is `table.key`.
    """

    def __init__(self, text: str, table: str) -> None:
        self._found: dict[tuple[int | None, str], int] = {}
        index: int | None = None
        owner: int | None = None
        prefix = ""
        for number, statement, parsed in _statements(text):
            head = next(iter(parsed))
            if not statement.startswith("["):
                self._found.setdefault((owner, prefix + head), number)
            elif parsed == {table: [{}]}:
                index = owner = 0 if index is None else index + 1
                prefix = ""
                self._found[index, ""] = number
            else:  # a table within the one before, or another one at the top level
                inside = parsed[head]
                within = head == table and isinstance(inside, dict) and bool(inside)
                owner, name = (index, next(iter(inside))) if within else (None, head)
                prefix = f"{name}."
                self._found.setdefault((owner, name), number)

    def of(self, index: int | None, key: str = "") -> int:
        """Return the line of a key; of its table where the key has none, such as within an inline table."""
        outer = key.partition(".")[0]
        known = (self._found.get(where) for where in ((index, key), (index, outer), (index, ""), (None, outer)))
        return next((line for line in known if line), 1)


def _statements(text: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield each statement with the number of its first line and what it says alone."""
    import tomllib  # noqa: PLC0415 - late, as in toml_file.py

    begun, lines = 1, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if not lines:
            begun = number
        lines.append(line)
        statement = "\n".join(lines)
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a value of several lines goes on
        lines.clear()
        if parsed:
            yield begun, statement.strip(), parsed
