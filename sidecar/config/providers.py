"""The file of PROVIDERS_FILE: one `[[provider]]` table each, read strictly, with every mistake told at once.

TOML's reader gives no lines for values, so `toml_lines.py` finds them where a mistake has to be told.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from sidecar.config import addresses, types
from sidecar.config.toml_lines import Lines
from sidecar.core.errors import plain
from sidecar.core.ports import TRAFFIC, Traffic

_LONGEST_FILE: Final = 64 * 2**10
MOST_PROVIDERS: Final = 32
TABLE: Final = "provider"
_NAME: Final = re.compile("[A-Za-z0-9._-]{1,40}")
AZURE_HOSTS: Final = tuple(
    f".{service}.azure.{end}"
    for service in ("openai", "cognitiveservices", "services.ai")
    for end in ("com", "us", "cn")
)
"""Ends of the hosts of Azure's resources, whose deployments refuse a key as a bearer token."""
_REQUIRED: Final = ("name", "base_url", "model")


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the file."""

    name: str
    base_url: str
    model: str
    api_key: str = ""
    """The text of the file that `api_key_file` names; blank sends no key."""
    api_key_file: str = ""
    concurrency: int
    priority: int = 1
    classes: frozenset[Traffic] = frozenset(TRAFFIC)
    client: str
    extra_body: Mapping[str, Any]
    azure_auth: str = "auto"

    def __repr__(self) -> str:
        return f"<ProviderSettings {self.name}>"


def read_providers(path: str, defaults: Mapping[str, Any], faults: list[str]) -> tuple[ProviderSettings, ...]:
    """Return the providers of the file; `defaults` has what a table may leave out. Mistakes go to `faults`."""
    import tomllib  # noqa: PLC0415 - late: without the file no process pays for it

    shown = f"PROVIDERS_FILE={plain(path, 200)}"
    try:
        with open(path, "rb") as file:
            raw = file.read(_LONGEST_FILE + 1)
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        found = tomllib.loads(text)
    except OSError as exc:
        faults.append(f"{shown}: cannot be read ({exc.strerror})")
        return ()
    except UnicodeDecodeError:
        faults.append(f"{shown}: cannot be read (not UTF-8 text)")
        return ()
    except (ValueError, RecursionError) as exc:  # tomllib's own error is a ValueError and names line and column
        faults.append(f"{shown}: {plain(str(exc), 200) or 'nested too deeply'}")
        return ()
    if len(raw) > _LONGEST_FILE:
        faults.append(f"{shown}: larger than {_LONGEST_FILE // 1024} KiB")
        return ()
    reader = _Reader(shown, Lines(text, TABLE), defaults)
    providers = reader.providers(found)
    faults += reader.faults
    return providers


class _Reader:
    """Checks of one file's tables."""

    def __init__(self, shown: str, lines: Lines, defaults: Mapping[str, Any]) -> None:
        self._shown = shown
        self._lines = lines
        self._defaults = defaults
        self._mistakes: list[tuple[int, str]] = []

    def _fault(self, line: int, what: str) -> None:
        self._mistakes.append((line, f"{self._shown}, line {line}: {what}" if line else f"{self._shown}: {what}"))

    @property
    def faults(self) -> list[str]:
        """The mistakes, in the order of their lines."""
        return [text for _, text in sorted(self._mistakes)]

    def providers(self, found: Mapping[str, Any]) -> tuple[ProviderSettings, ...]:
        """Return the providers, or nothing where a mistake was found."""
        for name in found.keys() - {TABLE}:
            self._fault(self._lines.of(None, name), f"{plain(name, 60)}: only [[{TABLE}]] tables are known here")
        tables = found.get(TABLE, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._fault(self._lines.of(None, TABLE), f"{TABLE}: must be written as [[{TABLE}]]")
            return ()
        if not 1 <= len(tables) <= MOST_PROVIDERS:
            self._fault(0, f"must have 1 to {MOST_PROVIDERS} [[{TABLE}]] tables")
            return ()
        providers = [self._provider(index, table) for index, table in enumerate(tables)]
        self._check_names(tables)
        good = tuple(one for one in providers if one)
        unserved = [name for name in TRAFFIC if not any(name in one.classes for one in good)]
        if unserved and not self._mistakes:
            self._fault(0, f"no provider has the class {' or '.join(unserved)} in its classes")
        return () if self._mistakes else good

    def _check_names(self, tables: list[dict[str, Any]]) -> None:
        seen: dict[object, int] = {}
        for index, table in enumerate(tables):
            if isinstance(name := table.get("name"), str) and name in seen:
                line = self._lines.of(index, "name")
                self._fault(line, f"name={plain(name, 60)}: must differ from the one in line {seen[name]}")
            elif isinstance(name, str):
                seen[name] = self._lines.of(index, "name")

    def _provider(self, index: int, table: dict[str, Any]) -> ProviderSettings | None:
        before = len(self._mistakes)
        for name in table.keys() - _FIELDS.keys():
            import difflib  # noqa: PLC0415 - late: only a mistake needs it

            close = difflib.get_close_matches(name, _FIELDS, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; the fields are {', '.join(_FIELDS)}"
            self._fault(self._lines.of(index, name), f"{plain(name, 60)}: no such field{hint}")
        for name in _REQUIRED:
            if name not in table:
                self._fault(self._lines.of(index), f"{name}: required in every [[{TABLE}]]")
        values = {name: self._value(index, name, table[name]) for name in _FIELDS if name in table}
        if values.get("azure_auth") == "entra" and "api_key_file" in table:
            self._fault(self._lines.of(index, "azure_auth"), "azure_auth=entra: must not stand beside an api_key_file")
        if len(self._mistakes) > before:
            return None
        key = values.pop("api_key_file", "")
        file = table.get("api_key_file", "")
        values.setdefault("azure_auth", self._azure_auth(values["base_url"], file))
        return ProviderSettings(**{**self._defaults, **values, "api_key": key, "api_key_file": file})

    def _azure_auth(self, base_url: str, key_file: str) -> str:
        """Return what AZURE_AUTH means for a provider: its tokens go to Azure's hosts alone, and only without a key."""
        auth: str = self._defaults["azure_auth"]
        refuses_tokens = key_file or not (urlsplit(base_url).hostname or "").endswith(AZURE_HOSTS)
        return "auto" if auth == "entra" and refuses_tokens else auth

    def _value(self, index: int, name: str, value: object) -> Any:
        try:
            return _FIELDS[name](value)
        except ValueError as exc:
            # An address may hold a password or a key, and a body for the provider any secret.
            hidden = (
                name == "extra_body"
                or (isinstance(value, str) and ("@" in value or "?" in value))
                or (name == "api_key_file" and not str(value).startswith("/"))  # a key itself, perhaps
            )
            shown = "(not shown)" if hidden else plain(msgspec.json.encode(value, enc_hook=str).decode(), 100)
            self._fault(self._lines.of(index, name), f"{name}={shown}: must be {exc}")
            return None


def _text(kind: types.Kind) -> Callable[[object], Any]:
    def parse(value: object) -> Any:
        return kind(value.strip() if isinstance(value, str) else "\0")

    return parse


def _name(text: str) -> str:
    if _NAME.fullmatch(text):
        return text
    raise ValueError("1 to 40 letters, digits or any of . _ -")


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return parse


def _model(text: str) -> str:
    if not text:
        raise ValueError("the name of a model")
    return str(types.name(text))


def _classes(value: object) -> frozenset[Traffic]:
    if isinstance(value, list) and value and all(name in TRAFFIC for name in value):
        return frozenset(value)
    raise ValueError(f"a list of one or more of {', '.join(TRAFFIC)}")


def _key(value: object) -> str:
    path = _text(types.path)(value)
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(8192).strip()
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "not UTF-8 text"
        raise ValueError(f"a file that can be read ({reason})") from None
    if not text:
        raise ValueError("a file with a key in it, and it is empty")
    try:
        return str(types.secret(text))
    except ValueError as exc:
        raise ValueError(f"a file with a key in it: {exc}") from None


def _body(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict) and _is_json(value):
        return value
    raise ValueError('a table of what JSON can hold, such as { reasoning_effort = "low" }')


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_json(inner) for inner in value.values())
    if isinstance(value, list):
        return all(_is_json(inner) for inner in value)
    return isinstance(value, str | int | bool) or (isinstance(value, float) and value - value == 0)


_FIELDS: Final[Mapping[str, Callable[[object], Any]]] = {
    "name": _text(_name),
    "base_url": _text(addresses.base_url),
    "model": _text(_model),
    "api_key_file": _key,
    "concurrency": _whole(1, 10_000),
    "priority": _whole(1, 1000),
    "classes": _classes,
    "client": _text(types.choice("aiohttp", "openai")),
    "azure_auth": _text(types.choice("auto", "key", "entra")),
    "extra_body": _body,
}
"""Field of a table → the function from its value to the setting's; raises `ValueError` to follow "must be"."""
