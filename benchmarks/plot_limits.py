"""Draw the search for the limit: one burst at 16 slots and one at 32 and 6 by turns, sampled every 50 ms.

Runs both over real sockets, takes the limit found and the calls under way from GET /status and the refused calls from
the demo provider's /demo/stats, and writes the picture. Remake it with
`PYTHONPATH=. .venv-dev/bin/python benchmarks/plot_limits.py` from the repository's root.
Usage: plot_limits.py [FILE]; docs/limits.svg by default.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from limit_scenes import SCENES, Scene, ours
from rig import ROOT, demo_upstream, get, post, run_burst

from tests.support.worlds import Capacity

EVERY = 0.05
"""Seconds between two samples."""
CEILING = 64
TITLES = {"openai": "16 slots", "turns": "32 and 6 slots by turns of 3 s"}

WIDTH, LEFT, RIGHT = 820, 60, 60
TOP, PANEL, GAP, BOTTOM = 72, 190, 62, 56
"""Pixels above the first panel, of a panel, between two, and below the last."""
INTERVALS = 4
"""Intervals of both scales, so that the scales share their lines."""
FOUND, TRUE, REFUSED, RUNNING, INK, GRID = "#1259b8", "#111111", "#c2410c", "#cfe0f3", "#333333", "#e4e4e4"

Points = list[tuple[float, float]]


class Sample(NamedTuple):
    """State at one moment."""

    at: float
    found: int
    running: int
    refused: int


class Film(NamedTuple):
    """Samples of one burst."""

    title: str
    samples: list[Sample]
    true: Points
    """The provider's limit at each moment at which it changes."""
    end: float


class Watch(threading.Thread):
    """Samples the sidecar and the demo provider until `over` is set."""

    def __init__(self, url: str, upstream: str) -> None:
        super().__init__()
        self.samples: list[Sample] = []
        self.over = threading.Event()
        self._urls = (f"{url}/status", f"{upstream}/demo/stats")
        self._start = time.perf_counter()

    def run(self) -> None:
        while not self.over.wait(EVERY):
            at = time.perf_counter() - self._start
            slots, stats = get(self._urls[0])["slots"], get(self._urls[1])
            self.samples.append(Sample(at, slots["found"], slots["running"], stats["refused"]))


def film(name: str, scene: Scene) -> Film:
    """Run the scene's burst and sample it."""
    with demo_upstream(*scene.demo_words()) as upstream, ours(upstream) as (url, _):
        post(f"{upstream}/demo/reset")
        watch = Watch(url, upstream)
        watch.start()
        try:
            answers = run_burst(url, scene.bodies())
        finally:
            watch.over.set()
            watch.join()
    end = max(answer.received for answer in answers)
    answered = sum(answer.code == "ok" for answer in answers)
    samples = [Sample(0.0, CEILING, 0, 0), *(sample for sample in watch.samples if sample.at <= end)]
    title = f"{TITLES[name]}: {answered} of {len(answers)} answered in {end:.1f} s, {samples[-1].refused} calls refused"
    return Film(title, samples, true_limit(scene, end), end)


def true_limit(scene: Scene, end: float) -> Points:
    capacity = Capacity(scene.world, 0.0)
    moments = [number * EVERY for number in range(int(end / EVERY) + 1)]
    return changes((at, float(capacity.slots(at + 0.001))) for at in moments)


def changes(points: Iterable[tuple[float, float]]) -> Points:
    """Return only the points at which the value changes."""
    found: Points = []
    for at, value in points:
        if not found or found[-1][1] != value:
            found.append((at, value))
    return found


class Panel:
    """One set of axes and its curves, drawn as pieces of SVG."""

    def __init__(self, shown: Film, top: float, seconds: float) -> None:
        self._film = shown
        self._top = top
        self._seconds = seconds
        most = max(1, shown.samples[-1].refused)
        self._most_refused = INTERVALS * next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 1000) if 4 * step >= most)

    def draw(self) -> list[str]:
        samples = self._film.samples
        running = self._path(changes((one.at, one.running) for one in samples), self._calls)
        found = self._path(changes((one.at, one.found) for one in samples), self._calls)
        refused = self._path(changes((one.at, one.refused) for one in samples), self._refused)
        floor = f"V{self._calls(0):.1f}H{self._x(0):.1f}Z"
        return [
            f'<path d="{running}{floor}" fill="{RUNNING}"/>',
            *self._axes(),
            line(refused, REFUSED, 1.8),
            line(found, FOUND, 2.2),
            line(self._path(self._film.true, self._calls), TRUE, 1.2, dash="5 4"),
        ]

    def _axes(self) -> list[str]:
        parts = [text(LEFT, self._top - 12, self._film.title, size=14, weight="600")]
        for number in range(INTERVALS + 1):
            share = number / INTERVALS
            y = self._calls(CEILING * share)
            parts += [
                f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{INK if not number else GRID}"/>',
                text(LEFT - 8, y + 4, f"{CEILING * share:.0f}", anchor="end", colour=FOUND),
                text(WIDTH - RIGHT + 8, y + 4, f"{self._most_refused * share:.0f}", colour=REFUSED),
            ]
        for second in range(0, int(self._seconds) + 1, 2):
            parts.append(text(self._x(second), self._top + PANEL + 18, str(second), anchor="middle"))
            parts.append(f'<path d="M{self._x(second):.1f} {self._top + PANEL}v4" stroke="{INK}"/>')
        middle = self._top + PANEL / 2
        parts.append(text(18, middle, "calls at once", anchor="middle", colour=FOUND, turn=-90))
        parts.append(text(WIDTH - 14, middle, "calls refused, in all", anchor="middle", colour=REFUSED, turn=-90))
        return parts

    def _path(self, points: Points, y: Callable[[float], float]) -> str:
        """Return a path of steps up to the burst's end."""
        first, *rest = points
        steps = "".join(f"H{self._x(at):.1f}V{y(value):.1f}" for at, value in rest)
        return f"M{self._x(first[0]):.1f} {y(first[1]):.1f}{steps}H{self._x(self._film.end):.1f}"

    def _x(self, second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * second / self._seconds

    def _calls(self, calls: float) -> float:
        return self._top + PANEL * (1 - calls / CEILING)

    def _refused(self, calls: float) -> float:
        return self._top + PANEL * (1 - calls / self._most_refused)


def line(path: str, colour: str, width: float, *, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    anchor: str = "start",
    colour: str = INK,
    weight: str = "400",
    turn: int = 0,
) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}"{turned}>{words}</text>'
    )


def legend() -> list[str]:
    """Return the row above both panels."""
    parts, x, y = [], LEFT, 24
    entries = (
        (line(f"M{{x}} {y}h28", FOUND, 2.2), "limit found"),
        (line(f"M{{x}} {y}h28", TRUE, 1.2, dash="5 4"), "provider's limit"),
        (f'<path d="M{{x}} {y - 6}h28v12h-28z" fill="{RUNNING}"/>', "calls under way"),
        (line(f"M{{x}} {y}h28", REFUSED, 1.8), "calls refused, right scale"),
    )
    for sign, words in entries:
        parts += [sign.replace("{x}", str(x)), text(x + 36, y + 4, words)]
        x += 60 + 7 * len(words)
    return parts


def picture(films: list[Film]) -> str:
    height = TOP + len(films) * PANEL + (len(films) - 1) * GAP + BOTTOM
    seconds = max(shown.end for shown in films) * 1.01
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
        ),
        "<title>How the limit is found</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *legend(),
    ]
    for number, shown in enumerate(films):
        parts += Panel(shown, TOP + number * (PANEL + GAP), seconds).draw()
    parts.append(text(WIDTH / 2, height - 14, "seconds after the first of 400 callers", anchor="middle"))
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "limits.svg"
    films = [film(name, SCENES[name]) for name in TITLES]
    target.write_text(picture(films))
    for shown in films:
        print(f"  {shown.title}")
    print(f"  {target}, {target.stat().st_size / 1024:.1f} KiB")


if __name__ == "__main__":
    main()
