"""The command itself: flags, the order of the checks, and the exit code."""

import argparse
import asyncio
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sidecar.config.provenance import origins, value_of
from sidecar.config.settings import SETTINGS, Settings
from sidecar.core import events
from sidecar.core.command_line import Parser, show
from sidecar.doctor import configuration, interpreter, machine, plugin, provider
from sidecar.doctor.findings import Finding, Report, report

_PROGRAM: Final = "openai-moodle-sidecar doctor"
HOOKS: Final = {"redis_url": "sidecar.doctor.jobs", "usage_file": "sidecar.doctor.usage"}
"""Setting of an optional part → the module whose `async check(settings)` returns a list of findings."""

_MOODLE: Final = "sidecar.doctor.moodle"


def main(argv: list[str]) -> int:
    """Run the checks and print the report; return 0, 1 where a check failed, or 2 for flags that make no sense."""
    try:
        flags = _parser().read(argv)
    except SystemExit as exc:  # argparse has written its line, or the help
        return int(exc.code or 0)
    options = {
        name: flags.pop(name)
        for name in ("json", "all", "call", "env_file", "php_url", "php_command", "php_user", "moodle", "php")
    }
    if flags.pop("jobs") and not value_of("REDIS_URL", flags, options["env_file"]):
        flags["redis_url"] = "embedded"
    events.LOGGER.addHandler(logging.NullHandler())  # the report says it all; without a handler, events reach stderr
    found = asyncio.run(examine(flags, **{name: options[name] for name in options if name not in ("json", "all")}))
    unwritten = show(f"{found.as_json()}\n" if options["json"] else found.as_text(every=options["all"]), _PROGRAM)
    return unwritten if found.ok else 1


async def examine(
    flags: dict[str, str | None],
    *,
    env_file: str | None = None,
    call: bool = False,
    php_url: str | None = None,
    php_command: str | None = None,
    php_user: str = "",
    moodle: str | None = None,
    php: str = "",
) -> Report:
    """Run every check, in the order in which an administrator would repair things."""
    findings = [*configuration.env_file(env_file), *configuration.variables(flags, env_file)]
    if (python := interpreter.check(Path(sys.executable))) is not None:
        findings.append(python)
    settings, more = configuration.loaded(flags, env_file)
    findings += more
    if settings is not None:
        findings += configuration.conflicts(settings, flags, env_file)
        findings += [finding async for finding in provider.check(settings, call=call)]
        findings.append(await machine.port(settings))
        findings += machine.limits(settings)
    else:
        findings.append(Finding("provider", "note", "not asked: first the settings must make sense"))
    named = "--php-url" if php_url else "OPENAI_SIDECAR_HTTP_URL"
    url = php_url or value_of("OPENAI_SIDECAR_HTTP_URL", flags, env_file)
    findings.append(await plugin.address(url or plugin.URL, named if url else ""))
    path = php_command or plugin.COMMAND
    findings += [finding async for finding in plugin.command(path, named=bool(php_command), user=php_user)]
    if settings is not None:
        findings += await _optional_parts(settings)
    if moodle:
        findings += await import_module(_MOODLE).check(moodle, php, php_user)
    secrets = [value_of(setting.name, flags, env_file) for setting in SETTINGS if setting.secret]
    return report(origins(flags, env_file), findings, [*(settings.secrets if settings else ()), *filter(None, secrets)])


async def _optional_parts(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    for field, module in HOOKS.items():
        if not hasattr(settings, field):
            continue
        if not getattr(settings, field):
            findings.append(Finding(field.upper(), "note", "not set, so the part of the sidecar that needs it is off"))
            continue
        try:
            part = import_module(module)
        except ModuleNotFoundError:
            findings.append(Finding(field.upper(), "note", "set, but this version cannot look at it"))
        else:
            findings += await part.check(settings)
    return findings


def _parser() -> Parser:
    parser = Parser(
        prog=_PROGRAM,
        allow_abbrev=False,
        description="Looks at settings, provider, port and what PHP would see, and says what to do. Changes nothing.",
        epilog="It also takes every flag of the server. Exit code 0, or 1 where a check failed.",
    )
    parser.add_argument("--json", action="store_true", help="a report for programs")
    parser.add_argument("--all", action="store_true", help="show the settings that nobody set as well")
    parser.add_argument("--call", action="store_true", help="ask the provider one tiny question; it costs a few tokens")
    parser.add_argument("--jobs", action="store_true", help="as for the server")
    parser.add_argument("--env-file", metavar="FILE", help="as for the server")
    parser.add_argument("--php-url", metavar="URL", help=f"where the plugin calls (default: its own, {plugin.URL})")
    parser.add_argument("--php-command", metavar="PATH", help=f"what the plugin starts (default: {plugin.COMMAND})")
    parser.add_argument(
        "--php-user",
        metavar="NAME",
        default="",
        help="try the command, and run Moodle's PHP, as this user; needs root",
    )
    parser.add_argument("--moodle", metavar="PATH", help="look at the Moodle in this folder, too")
    parser.add_argument("--php", metavar="PATH", default="", help="PHP's command line, for --moodle (default: php)")
    for setting in SETTINGS:
        bare: dict[str, Any] = {"nargs": "?", "const": "true"} if setting.default is False else {}
        parser.add_argument(setting.option, dest=setting.field, metavar="VALUE", help=argparse.SUPPRESS, **bare)
    return parser
