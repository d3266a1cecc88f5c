"""Flags of the command `rehearse`, and the rehearsal that they describe."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_type_hints

import msgspec

from sidecar.cli.flags import add_settings, parser
from sidecar.config import types
from sidecar.config.load import load
from sidecar.config.provenance import value_of
from sidecar.config.settings import Settings
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, plain
from sidecar.demo.options import MEANINGS, BadOptionError, Options, changed
from sidecar.rehearse import plan as plans
from sidecar.rehearse import target
from sidecar.rehearse.expect import Expectation, parsed
from sidecar.rehearse.plan import Plan

COMMAND: Final = "rehearse"
_NOT_OFFERED: Final = frozenset({"seed", "api_key", "models"})
"""Options of the demo provider whose flags mean something else here, or that refuse every call."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Command line, checked."""

    plan: Plan
    settings: Settings
    url: str
    """Base address of a running sidecar; blank for one of the rehearsal's own."""
    demo_flags: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    svg: Path | None
    json: bool


class _Flag(NamedTuple):
    """A flag of the plan."""

    name: str
    kind: types.Kind
    default: str
    help: str

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


def _share(text: str) -> float:
    with suppress(ValueError):
        value: float = types.seconds(0, 1)(text)
        return value
    raise ValueError("a share from 0 to 1")


_PLAN: Final = (
    _Flag("users", types.integer(1, plans.MOST_USERS), "300", "pupils"),
    _Flag("within", types.seconds(0, 3600), "60", "seconds in which they arrive, at random"),
    _Flag("clicks", types.integer(1, 1000), "1", "clicks of each pupil"),
    _Flag("think", types.seconds(0, 3600), "0", "seconds between an answer and the pupil's next click"),
    _Flag("same_page", _share, "0.7", "share of the clicks about one common page; each other click has its own page"),
    _Flag("patience", types.seconds(0.1, 3600), "", "seconds after which PHP gives up"),
    _Flag("length", types.integer(100, plans.LONGEST_PAGE), "3000", "characters of a page"),
    _Flag("route", types.choice("ai", "v1"), "ai", "ai, as the plugin calls, or v1, as Moodle's own AI subsystem does"),
    _Flag("seed", types.integer(0, 2**31), "0", "start of the random numbers: the same seed repeats the class"),
)
_DEMO: Final = tuple(name for name in MEANINGS if name not in _NOT_OFFERED)


def read(argv: list[str]) -> Order:
    """Return the rehearsal that the words describe.

    Raises:
        ConfigError: words, settings or files that make no sense; nothing was called yet.

    """
    flags = _parser().read(argv)
    more = {name: flags.pop(name) for name in ("url", "i_know", "expect", "svg", "json", "demo", "env_file")}
    texts = {flag.name: flags.pop(flag.name) for flag in _PLAN}
    found = {name: flags.pop(f"demo_{name}") for name in _DEMO}
    demo = {name: text for name, text in found.items() if text is not None}
    settings = load(flags, more["env_file"], need_key=False)
    if texts["patience"] is None:
        texts["patience"] = value_of("OPENAI_SIDECAR_HTTP_TIMEOUT", flags, more["env_file"]) or "30"
    plan = _plan(texts)
    return Order(
        plan=plan,
        settings=settings,
        url=_url(more, settings, demo),
        demo_flags=(*(f"--{name.replace('_', '-')}={text}" for name, text in demo.items()), f"--seed={plan.seed}"),
        expectations=() if more["expect"] is None else tuple(parsed(more["expect"])),
        svg=None if more["svg"] is None else _writable(more["svg"]),
        json=more["json"],
    )


def _plan(texts: dict[str, str]) -> Plan:
    values, faults = dict[str, Any](), []
    for flag in _PLAN:
        try:
            text = texts[flag.name].strip()
            values[flag.name] = flag.kind(f"0{text}" if text.startswith(".") else text)
        except ValueError as exc:
            faults.append(f"{flag.option}={plain(texts[flag.name], 100)}: must be {exc}")
    if not faults and values["users"] * values["clicks"] > plans.MOST_CLICKS:
        total = values["users"] * values["clicks"]
        faults.append(f"--users times --clicks: {total} clicks; at most {plans.MOST_CLICKS}")
    if faults:
        raise ConfigError(faults)
    return Plan(**values)


def _url(more: dict[str, Any], settings: Settings, demo: dict[str, str]) -> str:
    """Return the address of the running sidecar to rehearse with; blank to start one with a demo provider."""
    try:
        changed(Options(), demo)
    except BadOptionError as exc:
        raise ConfigError([str(exc)]) from None
    if not (more["demo"] or demo):
        url = more["url"] or target.own_address(settings.host, settings.port)
        return target.checked(url, token=settings.sidecar_token, knowing=more["i_know"])
    if more["url"] is not None:
        named = ", ".join(["--demo"] * more["demo"] + [f"--{name.replace('_', '-')}" for name in demo])
        raise ConfigError([f"--url: a running sidecar has its own provider, so it goes without {named}"])
    return ""


def _writable(path: str) -> Path:
    file = Path(path)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ConfigError([f"--svg={plain(path, 200)}: cannot be written"])
    return file


def _parser() -> Parser:
    made = parser(
        COMMAND,
        description="Drives a class of pupils who summarize pages, and shows what they saw: answered, refused, too\n"
        "late, waits, provider calls, PHP workers, and one sentence of advice.",
        epilog="The class goes to the running sidecar of the settings, or to --url: real calls to its provider. With\n"
        "--demo, or any option of the demo provider, a sidecar with these settings and a demo provider are started\n"
        "on free ports, and ended afterwards: no key, no network, no cost.\n\n"
        "  rehearse --voice openai --slots 16 --latency 2 --users 300 --within 60\n"
        '  rehearse --url http://127.0.0.1:8081 --users 30 --expect "answered>=99%,p95<20"\n\n'
        "--expect takes, by comma, answered refused late errors (a share such as 99%, or a count), p50 p95 p99 max\n"
        "seconds worker_seconds (seconds), workers fallbacks calls saved (counts), each with >= <= > < or =.\n\n"
        "Exit code: 0 the class ended and all expectations held; 1 one did not hold, the class was stopped, or there\n"
        "is no sidecar; 2 a wrong call. It also takes every flag of the server.",
    )
    made.usage = "%(prog)s [flags]"  # there are too many for a line each
    for flag in _PLAN:
        default = flag.default or "OPENAI_SIDECAR_HTTP_TIMEOUT, else 30"
        value = None if flag.name == "patience" else flag.default
        made.add_argument(
            flag.option, dest=flag.name, metavar="VALUE", default=value, help=f"{flag.help} (default: {default})"
        )
    made.add_argument("--url", metavar="URL", help="the running sidecar (default: the HOST and PORT of the settings)")
    made.add_argument("--i-know", action="store_true", help="--url is another machine, whose token is in SIDECAR_TOKEN")
    made.add_argument("--expect", metavar="LIST", help="what must hold, such as answered>=99%%,p95<20")
    made.add_argument("--svg", metavar="FILE", help="draw a picture of the class into this file")
    made.add_argument(
        "--json", action="store_true", help="the result as one JSON object; docs/rehearsal.md has its keys"
    )
    made.add_argument("--demo", action="store_true", help="start a sidecar and a demo provider for this rehearsal")
    _add_demo_options(made)
    add_settings(made, demo=False)
    return made


def _add_demo_options(made: Parser) -> None:
    group = made.add_argument_group("the demo provider, each with --demo implied")
    for name, hint in get_type_hints(Options, include_extras=True).items():
        if name in _DEMO:
            bare: dict[str, Any] = {"nargs": "?", "const": "true"} if get_args(hint)[0] is bool else {}
            option = f"--{name.replace('_', '-')}"
            group.add_argument(option, dest=f"demo_{name}", metavar="VALUE", help=MEANINGS[name], **bare)
            made.flags.append(option)
