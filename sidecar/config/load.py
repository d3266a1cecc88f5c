"""Values of settings from their sources: flags, variables, the env file, secret files, defaults.

Only this file reads the environment. A flag beats a variable beats the env file beats the default; blank means
unset; every fault is collected before the program stops (CONTRACT, "Configuration").
"""

import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sidecar.config import types
from sidecar.config.contradictions import contradictions
from sidecar.config.env_file import read_env_file
from sidecar.config.providers import ProviderSettings
from sidecar.config.secret_file import secret_of
from sidecar.config.setting import Setting
from sidecar.config.settings import BY_FIELD, SETTINGS, Settings
from sidecar.core.errors import ConfigError, plain

if TYPE_CHECKING:
    from sidecar.config.names import Misspelled

_PASSED: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_MANAGER: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_SCHEMES: Final = ("http", "https", "all", "no")


def load(
    flags: Mapping[str, str | None],
    env_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    need_key: bool = True,
    fallbacks: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings in force.

    `flags` maps a field to the text of its flag. `fallbacks` maps a variable to the text that replaces its default.
    Raises `ConfigError` with every fault at once.
    """
    faults: list[str] = []
    sources = [*layers(flags, env_file, environ, faults), fallbacks or {}]
    texts = {s.field: found for s in SETTINGS if (found := _find(s, sources, faults))}
    values = {s.field: _parse(s, texts[s.field], faults) if s.field in texts else s.default for s in SETTINGS}
    if "request_timeout" not in texts:
        values["request_timeout"] = _caller_timeout(sources, faults)
    values["state_dir"] = values["state_dir"] or _state_dir(sources)
    settings = Settings(
        **values,
        proxies=_proxies(sources),
        ca_file=_first("SSL_CERT_FILE", sources),
        openai_api_key_file=_file_of("OPENAI_API_KEY", sources),
    )
    if settings.providers_file:
        settings = msgspec.structs.replace(settings, providers=providers_of(settings, faults))
    needed = need_key and not settings.providers_file and settings.azure_auth != "entra"
    found_key = "openai_api_key" in texts or any(fault.startswith("OPENAI_API_KEY") for fault in faults)
    faults += contradictions(settings, need_key=needed and not found_key)
    if needed and not found_key:
        faults += _keys_under_another_name(sources[_ENVIRONMENT])
    if faults:
        raise ConfigError(faults)
    return settings


def providers_of(settings: Settings, faults: list[str]) -> tuple[ProviderSettings, ...]:
    """Return the providers that PROVIDERS_FILE has now, nothing if it has mistakes, which go to `faults`."""
    defaults = {
        "concurrency": settings.concurrency,
        "client": settings.provider_client,
        "azure_auth": settings.azure_auth,
        "extra_body": settings.extra_body,
    }
    from sidecar.config.providers_file import read_providers  # noqa: PLC0415 - late: most processes have no such file

    return read_providers(settings.providers_file, defaults, faults)


def ignored_variables(
    flags: Mapping[str, str | None], env_file: str | None, environ: Mapping[str, str] | None = None
) -> "list[Misspelled]":
    """Return the environment's variables that were probably meant for the sidecar, and are none of its settings."""
    from sidecar.config.names import misspelled_variables  # noqa: PLC0415 - late: a one-shot process needs none

    env = os.environ if environ is None else environ
    sources = layers(flags, env_file, environ, [])
    given = {name for source in sources for name, text in source.items() if text.strip()}
    return misspelled_variables(given & env.keys(), given)


def _keys_under_another_name(env: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that was probably meant for the key, which is missing."""
    from sidecar.config.names import misspelled_variables  # noqa: PLC0415 - as above

    found = misspelled_variables([name for name, text in env.items() if text.strip()], ())
    return [one.advice for one in found if one.meant == "OPENAI_API_KEY"]


def with_tokens(settings: Settings) -> Settings:
    """Return the settings with the content of TOKENS_FILE. Raises `ConfigError`.

    `load` leaves the file out: a one-shot process, which may be another user's, needs no right to read it.
    """
    if not settings.tokens_file:
        return settings
    from sidecar.config.tokens import read_tokens  # noqa: PLC0415 - late: a one-shot process reads no tokens

    faults: list[str] = []
    tokens = read_tokens(settings.tokens_file, faults, settings.providers)
    if faults:
        raise ConfigError(faults)
    return msgspec.structs.replace(settings, tokens=tokens)


def take_passed_sockets(environ: MutableMapping[str, str] | None = None) -> int:
    """Return the number of listening sockets that the parent process passed on, by systemd's protocol.

    The variables count only for the process whose id they name (sd_listen_fds(3)). They are removed from the
    environment, so that child processes ignore them. Raises `ConfigError`.
    """
    env = os.environ if environ is None else environ
    passed = {name: env.pop(name, "").strip() for name in _PASSED}
    if passed["LISTEN_PID"] != str(os.getpid()) or not passed["LISTEN_FDS"]:
        return 0
    try:
        number: int = types.integer(0, 1000)(passed["LISTEN_FDS"])
    except ValueError as exc:
        raise ConfigError([f"LISTEN_FDS={plain(passed['LISTEN_FDS'], 100)}: must be {exc}"]) from None
    return number


def take_service_manager(environ: MutableMapping[str, str] | None = None) -> tuple[str, float]:
    """Return the socket of the service manager, blank without one, and the seconds of its watchdog, 0 without one.

    The variables are removed from the environment, so that child processes report nothing. A watchdog for another
    process, or of no sense, is none (sd_watchdog_enabled(3)).
    """
    env = os.environ if environ is None else environ
    address, watchdog, pid = (env.pop(name, "").strip() for name in _MANAGER)
    seconds = int(watchdog) / 1e6 if watchdog.isascii() and watchdog.isdecimal() and len(watchdog) < 20 else 0.0
    return address, seconds if pid in {"", str(os.getpid())} else 0.0


def stated(name: str, flags: Mapping[str, str | None], environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the setting `name` comes from a flag or a variable, and so from the process's own start.

    The env file is shared by every process of the machine.
    """
    setting = BY_FIELD[name]
    texts = (flags.get(name), (os.environ if environ is None else environ).get(setting.name))
    return any(text and text.strip() for text in texts)


def environment_for_child(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a child process finds `settings` in force without an env file.

    The environment holds secrets, which must not be in a command line, and spells out values of flags, files and
    defaults.
    """
    ours = {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    ours |= {f"{scheme}_proxy" for scheme in _SCHEMES} | {f"{scheme}_proxy".upper() for scheme in _SCHEMES}
    ours |= {"OPENAI_SIDECAR_HTTP_TIMEOUT", "SSL_CERT_FILE", *_PASSED, *_MANAGER}
    from sidecar.config.names import misspelled_variables  # noqa: PLC0415 - as above

    around = os.environ if environ is None else environ
    ours |= {one.name for one in misspelled_variables(around.keys(), ())}  # the parent warns of them
    env = {name: text for name, text in around.items() if name not in ours}
    for setting in SETTINGS:
        if text := _text(getattr(settings, setting.field)):
            env[setting.name] = text
    if settings.openai_api_key_file:  # the child must see a key that changes, too
        env["OPENAI_API_KEY_FILE"] = settings.openai_api_key_file
        del env["OPENAI_API_KEY"]
    env |= {f"{scheme}_proxy": text for scheme, text in settings.proxies.items()}
    if settings.ca_file:
        env["SSL_CERT_FILE"] = settings.ca_file
    return env


def environment_without_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for another program, without any setting: keys and tokens are among them."""
    around = os.environ if environ is None else environ
    ours = {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    return {name: text for name, text in around.items() if name not in ours | {*_PASSED, *_MANAGER}}


def _text(value: Any) -> str:
    """Return a setting's value as the text that its kind parses."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6f}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_ENVIRONMENT: Final = 1
_ENV_FILE: Final = 2
"""Places of the environment and of the env file among the sources."""


def layers(
    flags: Mapping[str, str | None],
    env_file: str | None,
    environ: Mapping[str, str] | None,
    faults: list[str],
) -> list[Mapping[str, str]]:
    """Return texts by variable's name, a mapping for each source, the strongest first: flags, variables, env file."""
    return [
        {BY_FIELD[field].name: value for field, value in flags.items() if value is not None},
        os.environ if environ is None else environ,
        read_env_file(env_file, faults),
    ]


def _first(name: str, sources: list[Mapping[str, str]]) -> str:
    return next((text for source in sources if (text := source.get(name, "").strip())), "")


def _find(setting: Setting, sources: list[Mapping[str, str]], faults: list[str]) -> str:
    for source in sources:
        if text := source.get(setting.name, "").strip():
            return text
        if setting.secret and (path := source.get(f"{setting.name}_FILE", "").strip()):
            return secret_of(setting, path, faults)
    return ""


def _file_of(name: str, sources: list[Mapping[str, str]]) -> str:
    """Return the path of the file that the secret `name` came from; blank if it came from elsewhere."""
    for source in sources:
        if source.get(name, "").strip():
            return ""
        if path := source.get(f"{name}_FILE", "").strip():
            return path
    return ""


def _parse(setting: Setting, text: str, faults: list[str]) -> Any:
    try:
        return setting.kind(text)
    except ValueError as exc:
        # An address may hold a password or a key, and JSON for the provider may hold any secret.
        hidden = (
            setting.secret
            or "@" in text
            or "?" in text
            or ("://" in text and "#" in text)
            or setting.kind is types.json_object
        )
        shown = "(not shown)" if hidden else plain(text, 100)
        faults.append(f"{setting.name}={shown}: must be {exc} (flag {setting.option})")
        return setting.default


def _caller_timeout(sources: list[Mapping[str, str]], faults: list[str]) -> float:
    """Return the caller's own limit less 5 s or a fifth, whichever is more, but at least half of it (CONTRACT)."""
    name = "OPENAI_SIDECAR_HTTP_TIMEOUT"
    text = _first(name, sources)
    if not text:
        return float(BY_FIELD["request_timeout"].default)
    try:
        limit: float = types.seconds(0.2, 3600)(text)
    except ValueError as exc:
        faults.append(f"{name}={plain(text, 100)}: must be {exc}")
        return float(BY_FIELD["request_timeout"].default)
    return max(limit - max(5, limit / 5), limit / 2)


def _state_dir(sources: list[Mapping[str, str]]) -> str:
    """Return the folder for state that systemd, or the XDG base directory specification, names."""
    if given := _first("STATE_DIRECTORY", sources).partition(":")[0]:
        return given
    base = _first("XDG_STATE_HOME", sources) or os.path.join(_first("HOME", sources) or "/", ".local/state")
    return os.path.join(base, "openai-moodle-sidecar")


def _proxies(sources: list[Mapping[str, str]]) -> dict[str, str]:
    found = {}
    for scheme in _SCHEMES:
        name = f"{scheme}_proxy"
        # As in curl: under CGI a request's header "Proxy:" sets HTTP_PROXY in the environment, where only the
        # lower-case name counts. No request writes the env file.
        upper = sources[_ENV_FILE:] if scheme == "http" else sources
        if text := _first(name, sources) or _first(name.upper(), upper):
            found[scheme] = text
    return found
