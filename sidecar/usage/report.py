"""Report: usage files, summed up by the dimensions that are chosen. Hours become days and months in a time zone."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

from sidecar.core.errors import plain
from sidecar.usage.database import ERRORS, reading

_TIMES: Final = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}
DIMENSIONS: Final = (*_TIMES, "action", "route", "token", "provider", "code", "user")
SUMS: Final = (
    *("requests", "answers", "refused", "failed", "cancelled"),
    *("shared", "calls", "prompt_tokens", "completion_tokens"),
)
_SELECT: Final = (
    "SUM(requests), SUM(CASE code WHEN 'ok' THEN requests ELSE 0 END), SUM(refused),"
    " SUM(CASE WHEN code IN ('ok', 'cancelled') THEN 0 ELSE requests - refused END),"
    " SUM(CASE code WHEN 'cancelled' THEN requests ELSE 0 END),"
    " SUM(CASE code WHEN 'ok' THEN shared ELSE 0 END), SUM(calls), SUM(prompt_tokens), SUM(completion_tokens)"
)


class Unreadable(Exception):
    """A usage file cannot be read; the text names it and says why."""


class Report(NamedTuple):
    """Sums in the order of `SUMS`, by the values of the chosen dimensions."""

    by: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], tuple[int, ...]]]
    total: tuple[int, ...]


def report(
    paths: Iterable[str],
    by: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo | None = None,
) -> Report:
    """Sum up the hours of all files from `since` until before `until`; `zone` None is the machine's own.

    Raises `Unreadable`.
    """
    sums: dict[tuple[str, ...], tuple[int, ...]] = {}
    timed = any(name in _TIMES for name in by)
    columns = [*(["hour"] if timed else []), *(name for name in by if name not in _TIMES)]
    chosen = "".join(f"{name}, " for name in columns)
    query = f"SELECT {chosen}{_SELECT} FROM usage WHERE hour >= ? AND hour < ?"  # noqa: S608 - names of DIMENSIONS
    if columns:
        query += f" GROUP BY {', '.join(columns)}"
    bounds = (int(since.timestamp()) if since else 0, int(until.timestamp()) if until else 2**62)
    for path in paths:
        for row in _rows(path, query, bounds):
            found = dict(zip(columns, row, strict=False))
            key = tuple(_shown(name, found, zone) for name in by)
            counted = row[len(columns) :]
            sums[key] = tuple(map(sum, zip(sums[key], counted, strict=True))) if key in sums else counted
    total = tuple(map(sum, zip(*sums.values(), strict=True))) if sums else (0,) * len(SUMS)
    return Report(tuple(by), sorted(sums.items()), total)


def _rows(path: str, query: str, bounds: tuple[int, int]) -> list[tuple[Any, ...]]:
    try:
        with reading(path) as db:
            # A sum over no row at all is a row of nothing.
            return [row for row in db.execute(query, bounds) if row[-1] is not None]
    except FileNotFoundError:
        reason = "there is no such file; a server or worker with USAGE_FILE creates it"
    except PermissionError:
        reason = "this user may not read it; try as root, or as the sidecar's own user"
    except ERRORS as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
    raise Unreadable(f"{plain(path, 200)}: {reason}")


def _shown(name: str, found: dict[str, int | str], zone: tzinfo | None) -> str:
    if name not in _TIMES:
        return str(found[name])
    return datetime.fromtimestamp(int(found["hour"]), UTC).astimezone(zone).strftime(_TIMES[name])
