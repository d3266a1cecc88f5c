"""Checks of the configuration: the env file, every setting, and conflicts between settings."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sidecar.config.env_file import ENV_FILE
from sidecar.config.load import ignored_variables, load, with_tokens
from sidecar.config.provenance import value_of
from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.doctor.findings import Finding

_PLUGIN_WAITS: Final = 30.0
"""Seconds that the deployed plugin waits by default (CONTRACT, "Who calls")."""
SERVICE_KEY: Final = "/etc/openai-moodle-sidecar/openai-api-key"
"""Path of the service's own key, which systemd gives to the service alone (deploy/)."""
Flags = Mapping[str, str | None]


def loaded(flags: Flags, env_file: str | None) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, or None where they make no sense even without a key, and the findings about them."""
    try:
        return with_tokens(load(flags, env_file)), [Finding("settings", "ok", "all make sense")]
    except ConfigError as exc:
        found = [Finding("settings", "failed", fault, _cure(fault)) for fault in exc.faults]
    try:
        return load(flags, env_file, need_key=False), found
    except ConfigError:
        return None, found


def _cure(fault: str) -> str:
    if fault.startswith("OPENAI_API_KEY: required"):
        return (
            "write OPENAI_API_KEY=… into the env file; where the service has a key of its own, look with "
            f"OPENAI_API_KEY_FILE={SERVICE_KEY}; without any key, try ./start-server.sh --demo"
        )
    if "Permission denied" in fault:
        return "let this user read it (chown root:GROUP, chmod 640), or run the doctor as the user that reads it"
    return "correct it where the list above says it comes from"


def env_file(path: str | None) -> Iterator[Finding]:
    """Check the file that one-shot processes depend on, since PHP starts them without variables."""
    file = Path(path or ENV_FILE)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        what = f"there is no {file}; processes that PHP starts see no variables and will have no key"
        yield Finding("env file", "note", what, f"write the settings into it as NAME=value lines ({ENV_FILE})")
        return
    except OSError as exc:
        yield Finding("env file", "failed", f"{file} cannot be looked at ({exc.strerror})", _readable(file))
        return
    if not os.access(file, os.R_OK):
        yield Finding("env file", "failed", f"this user may not read {file}", _readable(file))
    elif mode & stat.S_IROTH:
        yield Finding("env file", "warning", f"every user may read {file}, and the key in it", _readable(file))
    else:
        as_root = "; as root, though, and root may read everything (--php-user)" if os.geteuid() == 0 else ""
        yield Finding("env file", "ok", f"{file} can be read{as_root}")


def variables(flags: Flags, path: str | None) -> Iterator[Finding]:
    """Check the environment for names that nothing reads, such as those of other tools."""
    for ignored in ignored_variables(flags, path):
        yield Finding("variables", "warning", f"{ignored.name} is ignored", ignored.advice)


def _readable(file: Path) -> str:
    return f"chown root:www-data {file} && chmod 640 {file} (the group is PHP's)"


def conflicts(settings: Settings, flags: Flags, path: str | None) -> Iterator[Finding]:
    """Check settings that are each valid and conflict with one another."""
    try:
        settings.check_listening()
    except ConfigError as exc:
        yield from (
            Finding("settings", "failed", fault, "set SIDECAR_TOKEN, or HOST=127.0.0.1") for fault in exc.faults
        )
    if not value_of("OPENAI_SIDECAR_HTTP_TIMEOUT", flags, path) and settings.request_timeout >= _PLUGIN_WAITS:
        yield Finding(
            "time limits",
            "warning",
            f"REQUEST_TIMEOUT is {settings.request_timeout:g} s, and the plugin gives up after {_PLUGIN_WAITS:g} s",
            "give PHP and the sidecar the same OPENAI_SIDECAR_HTTP_TIMEOUT, and leave REQUEST_TIMEOUT out",
        )
    if not (settings.sidecar_token or settings.tokens_file):
        yield Finding(
            "token",
            "note",
            "none is set; the plugin needs none on this machine, Moodle's own AI subsystem does (docs/moodle.md)",
        )
