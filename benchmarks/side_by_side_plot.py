"""Picture of bench_side_by_side.py: CPU a request as bars, and what a class gets behind each provider's refusals.

python benchmarks/side_by_side_plot.py RESULT.json PICTURE.svg
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

WIDTH, LEFT, RIGHT, ROW, GAP = 900, 190, 220, 22, 46
OURS, OTHERS, FLOOR, INK, MUTED, GRID = "#1259b8", "#9aa7b5", "#5b6673", "#222222", "#5a5a5a", "#e4e4e4"
GOOD, FAIR, POOR = "#d9ead3", "#fff2cc", "#f4cccc"
Row = dict[str, Any]


def text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = INK) -> str:
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def shown(name: str) -> str:
    """Return a candidate's name; those of the sidecar are its routes."""
    return f"sidecar, {name}" if name.startswith("/") else name


def heading(y: float, words: str) -> str:
    return f'<g font-weight="600">{text(16, y, words, size=14)}</g>'


def bars(top: float, title: str, rows: list[Row]) -> tuple[list[str], float]:
    """Return the pieces of a panel of CPU a request on a scale of powers of two, and its lower end."""
    parts = [heading(top, title)]
    least = min(row["us"] for row in rows) / 1.5
    most = max(row["us"] for row in rows)
    scale = (WIDTH - LEFT - RIGHT) / math.log(most / least)
    y = top + 14
    for row in sorted(rows, key=lambda row: float(row["us"])):
        long = scale * math.log(row["us"] / least)
        name = row["candidate"]
        colour = OURS if name.startswith("/") else FLOOR if name.startswith("bare") else OTHERS
        parts += [
            text(LEFT - 8, y + 14, shown(name), anchor="end"),
            f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{ROW - 6}" fill="{colour}"/>',
            text(
                LEFT + long + 6,
                y + 14,
                f"{row['us']:.0f} µs, {row['us'] / row['relay']:.2f} times a relay",
                colour=MUTED,
            ),
        ]
        y += ROW
    return parts, y


def table(top: float, rows: list[Row]) -> tuple[list[str], float]:
    """Return the pieces of the table of bursts, and its lower end."""
    names = list(dict.fromkeys(row["candidate"] for row in rows))
    voices = list(dict.fromkeys(row["voice"] for row in rows))
    by = {(row["voice"], row["candidate"]): row for row in rows}
    wide = (WIDTH - 130 - 16) / len(names)
    parts = [
        heading(top, "400 callers in a second, 16 slots, nobody told: answered, last answer / ideal, calls refused")
    ]
    y = top + 14
    for place, name in enumerate(names):
        parts.append(text(130 + wide * (place + 0.5), y + 14, shown(name), anchor="middle"))
    for voice in voices:
        y += ROW
        parts.append(text(122, y + 14, voice, anchor="end"))
        for place, name in enumerate(names):
            row = by.get((voice, name))
            if row is None:
                continue
            share = row["answered"] / 400
            colour = GOOD if share == 1 else FAIR if share >= 0.9 else POOR
            x = 130 + wide * place
            parts += [
                f'<rect x="{x:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{ROW - 2}" fill="{colour}"/>',
                text(
                    x + wide / 2, y + 15, f"{row['answered']}, {row['last']:.2f}, {row['refused']:,}", anchor="middle"
                ),
            ]
    return parts, y + ROW


def picture(result: Row) -> str:
    """Return the SVG of a result."""
    parts: list[str] = []
    y = 30.0
    for group in ("/ai", "/v1", "streams"):
        rows = [row for row in result["rows"] if row["what"] == "cost" and row["group"] == group]
        if rows:
            more, y = bars(y, f"CPU a request, {group}, provider call included (logarithmic)", rows)
            parts += more
            y += GAP
    if rows := [row for row in result["rows"] if row["what"] == "burst"]:
        more, y = table(y, rows)
        parts += more
        y += GAP
    found = result["machine"]
    words = f"{found['date']}, {found['cores']} cores of {found['cpu']}, Python {found['python']}, {found['revision']}"
    parts.append(text(16, y, words, size=11, colour=MUTED))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 16:.0f}" width="{WIDTH}" '
        f'height="{y + 16:.0f}" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y + 16:.0f}" fill="#ffffff"/>', *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(picture(json.loads(Path(sys.argv[1]).read_text())))
