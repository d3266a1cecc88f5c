"""Command `openai-moodle-sidecar usage`: sums up usage files, as a table, CSV or JSON."""

import csv
import io
import re
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

import msgspec

from sidecar.cli.flags import add_settings, parser, report_faults
from sidecar.config.load import load
from sidecar.core.command_line import Parser, show
from sidecar.core.errors import ConfigError, plain
from sidecar.core.program import PROGRAM
from sidecar.stdio.descriptors import fill_missing
from sidecar.usage.report import DIMENSIONS, SUMS, Report, Unreadable, report

_COMMAND: Final = "usage"


class _Period(NamedTuple):
    """Bounds of the hours that count; None is open."""

    since: datetime | None
    until: datetime | None


def main(argv: list[str]) -> int:
    """Print the sums; return 0, 1 if a file cannot be read, 2 for an invalid command line or settings."""
    fill_missing()
    flags = _parser().read(argv)
    files, by, form, env_file = (flags.pop(name) for name in ("files", "by", "format", "env_file"))
    since, until = flags.pop("since"), flags.pop("until")
    try:
        period = _Period(_moment("--since", since), _moment("--until", until, end=True))
        names = _dimensions(by)
        paths = files or [_usage_file(flags, env_file)]
        found = report(paths, names, since=period.since, until=period.until)
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)
    except Unreadable as exc:
        sys.stderr.write(f"{PROGRAM} {_COMMAND}: {exc}\n")
        return 1
    return show(_FORMATS[form](found, period), f"{PROGRAM} {_COMMAND}")


def _usage_file(flags: dict[str, str | None], env_file: str | None) -> str:
    path = load(flags, env_file, need_key=False).usage_file
    if not path:
        raise ConfigError(["USAGE_FILE: not set, so nothing is counted; set it, or name a file"])
    return path


def _moment(flag: str, text: str | None, *, end: bool = False) -> datetime | None:
    """Parse a date or a time in the machine's time zone; a date as the `end` includes its day."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.combine(date.fromisoformat(text) + timedelta(days=end), time()).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        wanted = "a date or a time, such as 2026-11-01 or 2026-11-01T08:00"
        raise ConfigError([f"{flag}={plain(text, 100)}: must be {wanted}"]) from None


def _dimensions(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in DIMENSIONS]
    if unknown:
        raise ConfigError([f"--by={plain(text, 100)}: must be some of {', '.join(DIMENSIONS)}"])
    return names


def _table(found: Report, period: _Period) -> str:
    """Return aligned columns, with a row of totals."""
    if not found.rows:
        return f"No requests were counted {_period(period)}.\n"
    head = (*found.by, *(name.replace("_tokens", "") for name in SUMS))
    rows = [(*(plain(value, 100) or "-" for value in key), *map(str, sums)) for key, sums in found.rows]
    if found.by:
        rows.append(("total", *("" for _ in found.by[1:]), *map(str, found.total)))
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    texts = len(found.by)
    lines = [
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return "\n".join([f"Requests {_period(period)}; prompt and completion are tokens.", "", *lines, ""])


def _period(period: _Period) -> str:
    bounds = [f"{word} {moment:%Y-%m-%d %H:%M}" for word, moment in zip(("from", "to"), period, strict=True) if moment]
    return f"{' '.join(bounds) or 'of all time'}, in the time zone {_zone()}"


def _zone() -> str:
    now = datetime.now().astimezone()
    return f"{now.tzname()} (UTC{now.isoformat()[-6:]})"


def _csv(found: Report, _: _Period) -> str:
    """Return a line for each row, without totals, which would be summed up again."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow((*found.by, *SUMS))
    lines.writerows((*key, *sums) for key, sums in found.rows)
    return text.getvalue()


def _json(found: Report, period: _Period) -> str:
    rows = [dict(zip(found.by, key, strict=True)) | dict(zip(SUMS, sums, strict=True)) for key, sums in found.rows]
    value = {
        "since": period.since and period.since.isoformat(),
        "until": period.until and period.until.isoformat(),
        "time_zone": _zone(),
        "rows": rows,
        "total": dict(zip(SUMS, found.total, strict=True)),
    }
    return msgspec.json.format(msgspec.json.encode(value)).decode() + "\n"


_FORMATS: Final[dict[str, Callable[[Report, _Period], str]]] = {"table": _table, "csv": _csv, "json": _json}


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Sums up what USAGE_FILE counted: requests and tokens, no texts.",
        epilog="answers were given; refused were turned away before a provider call was tried; failed had an error\n"
        "later; cancelled callers left. shared are answers without a provider call of their own.\n"
        "Hours, days and months are those of this machine's time zone (or of the variable TZ).\n"
        "It also takes every flag of the server.",
    )
    made.add_argument("files", nargs="*", metavar="FILE", help="usage files (default: that of USAGE_FILE)")
    made.add_argument("--by", metavar="NAMES", default="day", help=f"of {', '.join(DIMENSIONS)} (default: day)")
    made.add_argument("--since", metavar="DATE", help="a date, or a time such as 2026-11-01T08:00")
    made.add_argument("--until", metavar="DATE", help="the same; a date includes its day")
    made.add_argument("--format", choices=tuple(_FORMATS), default="table", help="table (default), csv or json")
    add_settings(made, demo=False)
    return made
