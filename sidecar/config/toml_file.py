"""A TOML file of settings: read within a bound, with every mistake told at once by line and field."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from sidecar.config import types
from sidecar.config.toml_lines import Lines
from sidecar.core.errors import plain
from sidecar.core.late_pattern import late_pattern

_LONGEST_FILE: Final = 64 * 2**10
_NAME: Final = late_pattern("[A-Za-z0-9._-]{1,40}")


class Document(NamedTuple):
    """A file that is valid TOML."""

    shown: str
    """The variable with the path, as mistakes begin."""
    text: str
    found: Mapping[str, Any]


def read_document(variable: str, path: str, faults: list[str]) -> Document | None:
    """Return the file of `variable`; None where the file cannot be read, with the fault in `faults`."""
    import tomllib  # noqa: PLC0415 - late: without the file no process pays for it

    shown = f"{variable}={plain(path, 200)}"
    try:
        with open(path, "rb") as file:
            raw = file.read(_LONGEST_FILE + 1)
        if len(raw) > _LONGEST_FILE:  # before the text, which is cut off
            faults.append(f"{shown}: larger than {_LONGEST_FILE // 1024} KiB")
            return None
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        found = tomllib.loads(text)
    except OSError as exc:
        faults.append(f"{shown}: cannot be read ({exc.strerror})")
        return None
    except UnicodeDecodeError:
        faults.append(f"{shown}: cannot be read (not UTF-8 text)")
        return None
    except (ValueError, RecursionError) as exc:  # tomllib's own error is a ValueError and names line and column
        faults.append(f"{shown}: {plain(str(exc), 200) or 'nested too deeply'}")
        return None
    return Document(shown, text, found)


class Mistakes:
    """Mistakes of one document, with the lines of its array table `table`."""

    def __init__(self, document: Document, table: str) -> None:
        self._shown = document.shown
        self._found: list[tuple[int, str]] = []
        self.lines = Lines(document.text, table)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, line: int, what: str) -> None:
        """Record a mistake; line 0 is the whole file."""
        self._found.append((line, f"{self._shown}, line {line}: {what}" if line else f"{self._shown}: {what}"))

    def unknown(self, index: int | None, names: Iterable[str], known: Collection[str], prefix: str = "") -> None:
        """Record each of `names` that is not `known`, with the nearest known one."""
        for name in set(names).difference(known):
            import difflib  # noqa: PLC0415 - late: only a mistake needs it

            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; the fields are {', '.join(known)}"
            self.add(self.lines.of(index, prefix + name), f"{plain(prefix + name, 60)}: no such field{hint}")

    def unique(self, tables: list[dict[str, Any]], field: str, *, hidden: bool = False) -> None:
        """Record each table whose `field` equals that of an earlier one; `hidden`: the value may be a secret."""
        seen: dict[str, int] = {}
        for index, table in enumerate(tables):
            if not isinstance(value := table.get(field), str):
                continue
            line = self.lines.of(index, field)
            if value in seen:
                shown = "(not shown)" if hidden else plain(value, 60)
                self.add(line, f"{field}={shown}: must differ from the one in line {seen[value]}")
            else:
                seen[value] = line

    def sorted(self) -> list[str]:
        """Return the mistakes in the order of their lines."""
        return [text for _, text in sorted(self._found)]


def text(kind: types.Kind) -> Callable[[object], Any]:
    """Make a field's kind of a setting's kind: the value must be a string."""

    def parse(value: object) -> Any:
        return kind(value.strip() if isinstance(value, str) else "\0")

    return parse


def whole(low: int, high: int) -> Callable[[object], int]:
    """Make the kind of a whole number."""

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def short_name(value: str) -> str:
    """Parse a name that goes into log lines and headers."""
    if _NAME.fullmatch(value):
        return value
    raise ValueError("1 to 40 letters, digits or any of . _ -")
