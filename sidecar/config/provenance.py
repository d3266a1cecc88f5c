"""Value and source of each setting, for people: secrets as "set", addresses without possible credentials."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from sidecar.config import addresses, types
from sidecar.config.env_file import ENV_FILE
from sidecar.config.load import layers
from sidecar.config.setting import Setting
from sidecar.config.settings import SETTINGS
from sidecar.core.errors import plain

DEFAULT: Final = "default"


class Origin(msgspec.Struct, frozen=True):
    """One setting's value, safe to show, and its source."""

    name: str
    value: str
    source: str


def origins(
    flags: Mapping[str, str | None], env_file: str | None = None, environ: Mapping[str, str] | None = None
) -> list[Origin]:
    """Return every setting as `load` with the same arguments would find it, valid or invalid."""
    named = dict(
        zip(("flag", "variable", f"file {env_file or ENV_FILE}"), layers(flags, env_file, environ, []), strict=True)
    )
    return [_origin(setting, named) for setting in SETTINGS]


def value_of(
    name: str, flags: Mapping[str, str | None], env_file: str | None, environ: Mapping[str, str] | None = None
) -> str:
    """Return the text of the variable `name`, a setting's or another; blank if no source has it."""
    return next((text for layer in layers(flags, env_file, environ, []) if (text := layer.get(name, "").strip())), "")


def shown_url(text: str) -> str:
    """Return an address without user, password and query, which may hold a key."""
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not an address)"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return plain(f"{parts.scheme}://{host}{port}{parts.path}{'?…' if parts.query else ''}", 200)


def _origin(setting: Setting, named: Mapping[str, Mapping[str, str]]) -> Origin:
    for source, layer in named.items():
        if text := layer.get(setting.name, "").strip():
            return Origin(setting.name, _shown(setting, text), f"flag {setting.option}" if source == "flag" else source)
        if setting.secret and (path := layer.get(f"{setting.name}_FILE", "").strip()):
            return Origin(setting.name, "set", f"the file {plain(path, 200)}, named by {setting.name}_FILE ({source})")
    caller = next(
        (text for layer in named.values() if (text := layer.get("OPENAI_SIDECAR_HTTP_TIMEOUT", "").strip())), ""
    )
    if setting.name == "REQUEST_TIMEOUT" and caller:
        return Origin(setting.name, f"less than {plain(caller, 20)}", "OPENAI_SIDECAR_HTTP_TIMEOUT")
    return Origin(setting.name, setting.shown_default or "not set", DEFAULT)


def _shown(setting: Setting, text: str) -> str:
    if setting.secret or setting.kind is types.json_object:
        return "set"
    return shown_url(text) if setting.kind is addresses.base_url else plain(text, 100)
