"""Command `openai-moodle-sidecar moodle setup PATH`: makes a Moodle use the sidecar, and undoes that."""

import asyncio
import re
import sys
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar.cli.flags import parser, report_faults
from sidecar.config import addresses
from sidecar.config.env_file import ENV_FILE
from sidecar.config.load import load
from sidecar.config.provenance import value_of
from sidecar.config.secret_file import alone, read_secret_file
from sidecar.config.settings import BY_FIELD, Settings
from sidecar.core.command_line import Parser, show
from sidecar.core.errors import ConfigError, plain
from sidecar.core.program import PROGRAM
from sidecar.doctor import http_check
from sidecar.doctor import moodle as doctor
from sidecar.doctor.findings import as_lines, report
from sidecar.moodle.errors import MoodleError
from sidecar.moodle.facts import ACTIONS, PLACEMENTS, Change
from sidecar.moodle.program import Program, staged
from sidecar.moodle.setup import Wish, look, set_up, undo
from sidecar.moodle.site import find_site, php_user
from sidecar.stdio.descriptors import fill_missing

_COMMAND: Final = "moodle"
_SHIPPED_PORT: Final = 8081
"""Port of the unit, of compose and of the docs; the default of PORT is another."""
_BLOCK: Final = "http://127.77.0.1"
"""Address of deploy/nginx-moodle-ai.conf, which core's own provider needs."""
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - addresses to listen on, and those to call
_API_ENDS: Final = re.compile(r"(/v1/chat/completions|/chat/completions|/v1|/ai)?/*$")
"""Ends of an address that are part of the API, as docs and the plugin name them."""
_LONGEST_TOKEN: Final = 4096


def main(argv: list[str]) -> int:
    """Set up, undo or list; return 0, 1 where a pupil gets no summary yet, or 2 for a wrong command line."""
    fill_missing()
    flags = _parser().read(argv)
    provider = "openai" if flags["openai_provider"] else "sidecar"
    try:
        wish = None if flags["undo"] else asyncio.run(_wish(flags, provider))
        site = find_site(flags["path"])
        with staged(site, php_user(site, flags["php_user"]), flags["php"]) as program:
            if wish is None:
                return _undo(program, provider, dry_run=flags["dry_run"])
            return _set_up(program, wish, flags["plugin"], dry_run=flags["dry_run"])
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)
    except MoodleError as exc:
        sys.stderr.write(f"{PROGRAM} {_COMMAND}: {exc}\n" + (f"  -> {exc.remedy}\n" if exc.remedy else ""))
        return 1


def _set_up(program: Program, wish: Wish, source: str, *, dry_run: bool) -> int:
    count = 0
    for change in set_up(program, wish, source, dry_run=dry_run):
        _show(change, wish.token)
        count += 1
    if dry_run:
        _print(f"{_counted(count)} would be made; nothing was changed.\n")
        return 0
    _print(f"{_counted(count)} made.\n\n" if count else "Nothing to change.\n\n")
    found = report([], doctor.judge(look(program), str(program.site.root)), [wish.token] if wish.token else [])
    _print("\n".join(as_lines(found.findings)) + "\n")
    return 0 if found.ok else 1


def _undo(program: Program, provider: str, *, dry_run: bool) -> int:
    count = 0
    for change in undo(program, provider, dry_run=dry_run):
        if isinstance(change, Change):
            _show(change, None)
            count += 1
        else:
            _print(f"  {plain(change, 200)}: changed since the setup, so it stays\n")
    end = "would be undone; nothing was changed" if dry_run else "undone"
    _print(f"{_counted(count)} {end}.\n" if count else "There is nothing to undo.\n")
    return 0


def _show(change: Change, token: str | None) -> None:
    line = f"  {plain(change.what, 200)}: {plain(change.before, 200)} -> {plain(change.after, 200)}\n"
    _print(line.replace(token, "(secret)") if token else line)


def _counted(count: int) -> str:
    return "1 change" if count == 1 else f"{count} changes"


def _print(text: str) -> None:
    """Write to stdout; an output that cannot be written does not end a setup that is half done."""
    show(text, f"{PROGRAM} {_COMMAND}")


async def _wish(flags: dict[str, Any], provider: str) -> Wish:
    """Return the goal of the setup. Raises `ConfigError`."""
    faults: list[str] = []
    ours = {name: flags[name] for name in ("port", "host")}
    settings = load(ours, flags["env_file"], need_key=False)
    token = _token(flags["token_file"], settings, faults)
    if provider == "openai" and not token:
        faults.append("SIDECAR_TOKEN: not set, and core's provider needs one (docs/moodle.md); or name --token-file")
    url = flags["url"] or (_BLOCK if provider == "openai" else await _running(ours, flags["env_file"], settings))
    try:
        parts = urlsplit(addresses.url(url))
    except ValueError as exc:
        faults.append(f"--url={plain(url, 200)}: must be {exc}")
    else:
        if "@" in parts.netloc or parts.query or parts.fragment:  # not shown: it may hold a token
            faults.append("--url: must have no user, no question mark and no #; the token is told by --token-file")
    wish = Wish(
        provider=provider,
        url=_API_ENDS.sub("", url),
        actions=_names("--actions", flags["actions"], ACTIONS, faults),
        placements=_names("--placements", flags["placements"], PLACEMENTS, faults),
        name=flags["name"],
        token=token,
        order=flags["order"],
    )
    if faults:
        raise ConfigError(faults)
    return wish


def _token(path: str, settings: Settings, faults: list[str]) -> str | None:
    """Return the token of the file, of standard input for `-`, else the sidecar's own; None without any."""
    if not path:
        return settings.sidecar_token or None
    try:
        text = sys.stdin.read(_LONGEST_TOKEN).strip() if path == "-" else read_secret_file(path)
        return alone(text, BY_FIELD["sidecar_token"].kind)
    except OSError as exc:
        faults.append(f"--token-file={plain(path, 200)}: cannot be read ({exc.strerror})")
    except ValueError as exc:
        faults.append(f"--token-file={plain(path, 200)}: the text in it must be {exc}")
    return None


async def _running(flags: dict[str, str | None], env_file: str | None, settings: Settings) -> str:
    """Return the address of the sidecar on this machine: the port that is set, else one of two where one answers."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    base = f"http://[{host}]" if ":" in host else f"http://{host}"
    if value_of("PORT", flags, env_file):
        return f"{base}:{settings.port}"
    for port in (_SHIPPED_PORT, settings.port):
        response = await http_check.fetch(f"{base}:{port}/health")
        if isinstance(response, http_check.Response) and response.json.get("service") == PROGRAM:
            return f"{base}:{port}"
    return f"{base}:{_SHIPPED_PORT}"


def _names(flag: str, text: str, known: tuple[str, ...], faults: list[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in known]:
        faults.append(f"{flag}={plain(','.join(unknown), 100)}: must be some of {', '.join(known)}")
    return names


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Installs the plugin in a Moodle on this machine, and makes, enables and orders its provider.",
        epilog=f"Address and token are those of the sidecar here (--env-file, {ENV_FILE}), which should be running.\n"
        "As root, Moodle's PHP runs as the owner of Moodle's data folder. Twice is once.",
    )
    made.add_argument("verb", choices=["setup"], metavar="setup", help="set up, or undo an earlier setup")
    made.add_argument("path", metavar="PATH", help="Moodle's folder, that of config.php")
    made.add_argument("--dry-run", action="store_true", help="list the changes and make none")
    made.add_argument("--undo", action="store_true", help="take back what earlier runs changed")
    all_placements = ",".join(PLACEMENTS)
    made.add_argument(
        "--placements",
        nargs="?",
        const=all_placements,
        default="",
        metavar="NAMES",
        help=f"switch the buttons on, too: {all_placements} (default of the flag: both)",
    )
    made.add_argument("--actions", default=",".join(ACTIONS), metavar="NAMES", help="actions to switch on (all three)")
    made.add_argument("--order", choices=["first", "last"], help="place among the providers (a new one comes first)")
    made.add_argument("--name", default="AI sidecar", metavar="NAME", help="name of a new instance")
    made.add_argument("--url", default="", metavar="URL", help="address of the sidecar (default: the one found here)")
    made.add_argument("--port", metavar="PORT", help="port of the sidecar here")
    made.add_argument("--host", help="as for the server")
    made.add_argument("--env-file", metavar="FILE", help="as for the server")
    made.add_argument("--token-file", default="", metavar="FILE", help="file of the token, - for standard input")
    made.add_argument("--plugin", default="", metavar="PATH", help="zip or folder of the plugin (default: checkout's)")
    made.add_argument("--openai-provider", action="store_true", help="set up core's OpenAI provider, not the plugin")
    made.add_argument("--php", default="", metavar="PATH", help="PHP's command line (default: php)")
    made.add_argument("--php-user", default="", metavar="NAME", help="run Moodle's PHP as this user (needs root)")
    return made
