"""Help of the program itself: a short one, and `--help-all` with every setting. Made only when it is wanted."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.config.env_file import ENV_FILE
from sidecar.config.setting import Setting
from sidecar.config.settings import BY_FIELD, SETTINGS
from sidecar.core.program import PROGRAM

_WIDTH: Final = 100
_INDENT: Final = 22
_MODES: Final = {
    "--demo": "answer from a demo upstream inside; needs no key",
    "--http-mode": "serve HTTP (the default where nothing is piped in)",
    "--stdio": "serve standard input, whatever it is: a JSON request a line",
    "--jobs": "with jobs: REDIS_URL=embedded where no other REDIS_URL is set",
    "--env-file=FILE": f"a file of NAME=value lines (default: {ENV_FILE})",
    "--version": "show the version",
    "--help-all": "show every setting, with its meaning and default",
}
_COMMANDS: Final = {
    "doctor": ("", "check settings, provider, port and what PHP would see; says what to do"),
    "moodle": ("setup PATH", "make a Moodle on this machine use the sidecar"),
    "rehearse": ("", "a class of pupils against a sidecar, before term starts"),
    "usage": ("", "what the sidecar did, from the file of USAGE_FILE"),
    "token": ("new NAME", "a token for TOKENS_FILE"),
    "batch": ("IN OUT", "answer a file of requests"),
    "worker": ("", "run jobs"),
    "enqueue": ("FILE", "put requests into the queue of jobs"),
    "collect": ("FILE", "wait for jobs and print their replies"),
    "demo-upstream": ("", "a provider to rehearse with"),
}
"""Arguments and meaning of the commands."""
_OFTEN: Final = ("openai_api_key", "openai_base_url", "openai_model", "port", "host", "sidecar_token")
_GROUPS: Final = {
    "Provider": (
        "openai_api_key openai_base_url openai_model openai_org_id openai_project_id azure_auth provider_client "
        "providers_file extra_body send_user user_secret"
    ),
    "Answers": (
        "max_tokens completion_max_tokens model_passthrough summarize_threshold context_tokens strict_status format "
        "html_safe"
    ),
    "Listening": "http_mode port host sidecar_token tokens_file ai_require_token allow_unauthenticated allowed_hosts",
    "Time and load": (
        "request_timeout shutdown_grace processes concurrency queue_size queue_bytes max_body_bytes cache_ttl "
        "cache_bytes stdio_max_processes"
    ),
    "Jobs": (
        "redis_url redis_prefix state_dir job_queue_size job_queue_bytes jobs_max_body_bytes job_result_ttl "
        "job_timeout call_timeout worker_concurrency offload_concurrency offload_threshold"
    ),
    "Log and numbers": (
        "log_format log_level usage_file usage_users usage_days worker_metrics_port worker_metrics_host "
        "pass_traceparent tracing"
    ),
}
"""Fields by subject; one that stands nowhere is shown under "More"."""


def short_help(commands: Iterable[str]) -> str:
    """Return what most people look for, and the names of all flags."""
    lines = [
        f"usage: {PROGRAM} [--flag=value ...]",
        f"       {PROGRAM} COMMAND ...",
        "",
        "Answers a Moodle site's AI requests: over HTTP, or one JSON line each on standard input.",
        *_table("Start", _MODES.items()),
        *_table("Set by most sites", ((_flag(BY_FIELD[field]), _meaning(BY_FIELD[field])) for field in _OFTEN)),
        "",
        "All other flags (--help-all explains them):",
    ]
    for title, settings in _grouped():
        names = " ".join(setting.option for setting in settings if setting.field not in _OFTEN)
        lines += _entry(title, names)
    lines += [*_table("Commands, each with --help", _commands(commands)), "", _ORDER]
    return "\n".join(lines) + "\n"


def full_help(commands: Iterable[str]) -> str:
    """Return every setting by subject, with its variable, meaning and default."""
    lines = [f"Settings of {PROGRAM}; --help is shorter.", "", _ORDER]
    for title, settings in _grouped():
        lines += ["", f"{title}:"]
        for setting in settings:
            lines += [f"  {_flag(setting)}", *_wrapped(_meaning(setting), 6)]
    lines += [*_table("Start", _MODES.items()), *_table("Commands, each with --help", _commands(commands))]
    return "\n".join(lines) + "\n"


_ORDER: Final = "A flag beats a variable beats the env file beats the default. A blank value means unset."


def _grouped() -> Iterator[tuple[str, list[Setting]]]:
    left = dict(BY_FIELD)
    for title, fields in _GROUPS.items():
        yield title, [left.pop(field) for field in fields.split() if field in left]
    if more := [setting for setting in SETTINGS if setting.field in left]:
        yield "More", more


def _commands(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(names, key=lambda name: [*_COMMANDS, name].index(name)):
        words, meaning = _COMMANDS.get(name, ("", ""))
        yield f"{name} {words}".rstrip(), meaning


def _flag(setting: Setting) -> str:
    return setting.option if setting.default is False else f"{setting.option}=VALUE"


def _meaning(setting: Setting) -> str:
    variable = f"{setting.name}, or {setting.name}_FILE for a file that holds it" if setting.secret else setting.name
    return f"{setting.help} (variable {variable}; default: {setting.shown_default or 'none'})"


def _table(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return ["", f"{title}:", *(line for name, text in rows for line in _entry(name, text))]


def _entry(name: str, text: str) -> list[str]:
    first, *rest = _wrapped(text, _INDENT) or [""]
    head = f"  {name}"
    return [(head.ljust(_INDENT) + first.strip()).rstrip(), *rest] if len(head) < _INDENT else [head, first, *rest]


def _wrapped(text: str, indent: int) -> list[str]:
    edge = " " * indent
    return textwrap.wrap(
        text, _WIDTH, initial_indent=edge, subsequent_indent=edge, break_on_hyphens=False, break_long_words=False
    )
