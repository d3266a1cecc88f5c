"""The file of PROVIDERS_FILE: one `[[provider]]` table each, read strictly, with every mistake told at once.

TOML's reader gives no lines for values, so `toml_lines.py` finds them where a mistake has to be told.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from sidecar.config import addresses, types
from sidecar.config.providers import AZURE_HOSTS, ProviderSettings
from sidecar.config.toml_file import Mistakes, read_document, short_name, text, whole
from sidecar.core.errors import plain
from sidecar.core.ports import TRAFFIC, Traffic

MOST_PROVIDERS: Final = 32
TABLE: Final = "provider"
_REQUIRED: Final = ("name", "base_url", "model")


def read_providers(path: str, defaults: Mapping[str, Any], faults: list[str]) -> tuple[ProviderSettings, ...]:
    """Return the providers of the file; `defaults` has what a table may leave out. Mistakes go to `faults`."""
    if (document := read_document("PROVIDERS_FILE", path, faults)) is None:
        return ()
    reader = _Reader(Mistakes(document, TABLE), defaults)
    providers = reader.providers(document.found)
    faults += reader.mistakes.sorted()
    return providers


class _Reader:
    """Checks of one file's tables."""

    def __init__(self, mistakes: Mistakes, defaults: Mapping[str, Any]) -> None:
        self.mistakes = mistakes
        self._lines = mistakes.lines
        self._fault = mistakes.add
        self._defaults = defaults

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
        self.mistakes.unique(tables, "name")
        good = tuple(one for one in providers if one)
        unserved = [name for name in TRAFFIC if not any(name in one.classes for one in good)]
        if unserved and not self.mistakes:
            self._fault(0, f"no provider has the class {' or '.join(unserved)} in its classes")
        return () if self.mistakes else good

    def _provider(self, index: int, table: dict[str, Any]) -> ProviderSettings | None:
        before = len(self.mistakes)
        self.mistakes.unknown(index, table.keys(), _FIELDS)
        for name in _REQUIRED:
            if name not in table:
                self._fault(self._lines.of(index), f"{name}: required in every [[{TABLE}]]")
        values = {name: self._value(index, name, table[name]) for name in _FIELDS if name in table}
        if values.get("azure_auth") == "entra" and "api_key_file" in table:
            self._fault(self._lines.of(index, "azure_auth"), "azure_auth=entra: must not stand beside an api_key_file")
        if len(self.mistakes) > before:
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


def _model(name: str) -> str:
    if not name:
        raise ValueError("the name of a model")
    return str(types.name(name))


def _classes(value: object) -> frozenset[Traffic]:
    if isinstance(value, list) and value and all(name in TRAFFIC for name in value):
        return frozenset(value)
    raise ValueError(f"a list of one or more of {', '.join(TRAFFIC)}")


def _key(value: object) -> str:
    path = text(types.path)(value)
    try:
        with open(path, encoding="utf-8-sig") as file:
            key = file.read(8192).strip()
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "not UTF-8 text"
        raise ValueError(f"a file that can be read ({reason})") from None
    if not key:
        raise ValueError("a file with a key in it, and it is empty")
    try:
        return str(types.secret(key))
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
    "name": text(short_name),
    "base_url": text(addresses.base_url),
    "model": text(_model),
    "api_key_file": _key,
    "concurrency": whole(1, 10_000),
    "priority": whole(1, 1000),
    "classes": _classes,
    "client": text(types.choice("aiohttp", "openai")),
    "azure_auth": text(types.choice("auto", "key", "entra")),
    "extra_body": _body,
}
"""Field of a table → the function from its value to the setting's; raises `ValueError` to follow "must be"."""
