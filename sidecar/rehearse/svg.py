"""Picture of a rehearsal as SVG: clicks that wait, and below them what each moment brought."""

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from sidecar.rehearse.replies import Click, Kind
from sidecar.rehearse.result import Result
from sidecar.rehearse.timeline import ENDINGS, NAMES, Timeline, timeline

_FONT: Final = 'role="img" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="12"'
_MOST_COLUMNS: Final = 80
_WIDTH, _LEFT, _RIGHT = 860, 64, 24
_TOP, _PANEL, _GAP, _BOTTOM = 84, 150, 84, 34
_HEIGHT = _TOP + 2 * _PANEL + _GAP + _BOTTOM
_INK, _SOFT, _GRID, _AREA, _EDGE = "#1f2933", "#5b6770", "#e3e7ea", "#d5e3f5", "#2f6db5"
_COLOURS: Final[dict[Kind, str]] = {
    "answered": "#2e8b57",
    "refused": "#e69f00",
    "late": "#c0392b",
    "error": "#7a3e9d",
}
"""Colours that differ in lightness too, for readers who see few colours."""
_INTERVALS: Final = 4


def picture(result: Result, clicks: Sequence[Click]) -> str:
    """Return the picture as one SVG document without outside parts."""
    title, details = headline(result), _details(result)
    step = nice(result.seconds / _MOST_COLUMNS)
    columns = max(1, math.ceil(result.seconds / step))
    time = timeline(clicks, step * columns, columns)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" {_FONT}>',
        f"<title>{escape(title)}</title><desc>{escape(details)}</desc>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 30, title, size=18, weight="600"),
        _text(_LEFT, 50, details, colour=_SOFT),
        *_waiting(time),
        *_endings(time),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def headline(result: Result) -> str:
    """Return the result in one line."""
    plan = result.plan
    answered = f"{100 * result.share(result.answered):.3g} % answered"
    waits = f", p95 of the waits {result.waits.p95:.1f} s" if result.waits else ""
    until = " (stopped early)" if result.interrupted else ""
    return f"{plan.users:,} pupils within {plan.within:g} s: {answered}{waits}{until}"


def _details(result: Result) -> str:
    provider = result.provider
    calls = f"{provider.answered:,} provider calls, {provider.saved:,} saved · " if provider else ""
    return (
        f"{result.clicks:,} clicks, {100 * result.plan.same_page:g} % on one page · {calls}"
        f"{result.php.workers:,} PHP workers at once · PHP waits {result.plan.patience:g} s"
    )


def _waiting(time: Timeline) -> list[str]:
    most = max(time.waiting)
    top, scale = _TOP + 14, _scale(most)
    points = [(_x((column + 0.5) / time.columns), _y(top, n / scale)) for column, n in enumerate(time.waiting)]
    floor = f"{points[-1][0]:.1f},{top + _PANEL} {points[0][0]:.1f},{top + _PANEL}"
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    peak = max(points, key=lambda point: -point[1])
    return [
        _text(_LEFT, top - 12, f"Clicks that wait (PHP workers held): {most:,} at most", weight="600"),
        *_grid(time, top, scale),
        f'<polygon points="{line} {floor}" fill="{_AREA}"/>',
        f'<polyline points="{line}" fill="none" stroke="{_EDGE}" stroke-width="2" stroke-linejoin="round"/>',
        f'<circle cx="{peak[0]:.1f}" cy="{peak[1]:.1f}" r="3.5" fill="{_EDGE}"/>',
    ]


def _endings(time: Timeline) -> list[str]:
    top = _TOP + 14 + _PANEL + _GAP
    stacks = [sum(time.ended[kind][column] for kind in ENDINGS) for column in range(time.columns)]
    scale = _scale(max([*stacks, *time.arrived], default=0))
    each = time.seconds / time.columns
    parts = [
        _text(_LEFT, top - 34, f"Clicks that began and ended, every {each:.3g} s", weight="600"),
        *_legend(time, top - 13),
        *_grid(time, top, scale),
    ]
    width = (_WIDTH - _LEFT - _RIGHT) / time.columns
    for column in range(time.columns):
        base = 0
        for kind in ENDINGS:
            if count := time.ended[kind][column]:
                y, height = _y(top, (base + count) / scale), count / scale * _PANEL
                parts.append(
                    f'<rect x="{_LEFT + column * width + 0.5:.1f}" y="{y:.1f}" width="{max(1.0, width - 1):.1f}" '
                    f'height="{height:.1f}" fill="{_COLOURS[kind]}"/>'
                )
                base += count
    last = max((column for column, count in enumerate(time.arrived) if count), default=0)
    points = " ".join(
        f"{_x((column + 0.5) / time.columns):.1f},{_y(top, count / scale):.1f}"
        for column, count in enumerate(time.arrived[: last + 2])
    )
    parts.append(f'<polyline points="{points}" fill="none" stroke="{_INK}" stroke-width="1.4" stroke-dasharray="4 2"/>')
    return parts


def _legend(time: Timeline, y: float) -> list[str]:
    x, parts = float(_LEFT), []
    entries = [("began", sum(time.arrived), "")]
    entries += [(NAMES[kind], sum(time.ended[kind]), _COLOURS[kind]) for kind in ENDINGS if any(time.ended[kind])]
    for name, count, colour in entries:
        if colour:
            parts.append(f'<rect x="{x:.0f}" y="{y - 9:.0f}" width="11" height="11" fill="{colour}"/>')
        else:
            parts.append(
                f'<path d="M{x:.0f},{y - 4:.0f} h14" stroke="{_INK}" stroke-width="1.4" stroke-dasharray="4 2"/>'
            )
        words = f"{name} {count:,}"
        parts.append(_text(x + 18, y, words))
        x += 18 + 6.6 * len(words) + 20
    return parts


def _grid(time: Timeline, top: float, scale: float) -> list[str]:
    parts = []
    for step in range(_INTERVALS + 1):
        y = _y(top, step / _INTERVALS)
        parts.append(f'<path d="M{_LEFT},{y:.1f} H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{scale * step / _INTERVALS:g}", anchor="end", colour=_SOFT))
    step_seconds = nice(time.seconds / 8)
    for number in range(int(time.seconds / step_seconds) + 1):
        at = number * step_seconds
        x = _x(at / time.seconds)
        parts.append(f'<path d="M{x:.1f},{top + _PANEL:.1f} v4" stroke="{_SOFT}"/>')
        words = f"{at:g} s" if number == 0 else f"{at:g}"
        parts.append(_text(x, top + _PANEL + 18, words, anchor="middle", colour=_SOFT))
    return parts


def nice(value: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `value`."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _scale(most: int) -> float:
    """Return the top of a scale whose lines are whole numbers."""
    return max(1.0, nice(most / _INTERVALS)) * _INTERVALS


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(top: float, share: float) -> float:
    return top + _PANEL * (1 - share)


def _text(
    x: float, y: float, words: str, *, size: int = 12, weight: str = "", anchor: str = "", colour: str = _INK
) -> str:
    more = f' font-weight="{weight}"' if weight else ""
    more += f' text-anchor="{anchor}"' if anchor else ""
    more += f' font-size="{size}"' if size != 12 else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{more}>{escape(words)}</text>'
