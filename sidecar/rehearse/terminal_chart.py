"""Chart of a rehearsal for a terminal: the waiting clicks as an area, and a strip for each kind of ending."""

from typing import Final

from sidecar.rehearse.timeline import ENDINGS, NAMES, Timeline

HEIGHT: Final = 8
BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII: Final = " .:-=+*#%@"
"""Characters from low to high, for a terminal with Unicode and for one without."""
MARGIN: Final = 16
TOTALS: Final = 10
"""Characters left and right of the columns."""


def chart(time: Timeline, *, ramp: str = BLOCKS) -> list[str]:
    """Return the lines of the chart, wider than the columns by `MARGIN` and `TOTALS`."""
    most = max(time.waiting, default=0)
    lines = [f"{'clicks waiting':>{MARGIN - 2}}"]
    for row in reversed(range(HEIGHT)):
        label = f"{most:,}" if row == HEIGHT - 1 else "0" if row == 0 else ""
        lines.append(f"{label:>{MARGIN - 2}} {_BORDERS[ramp == BLOCKS]}{_row(time.waiting, most, row, ramp)}".rstrip())
    lines.append(_axis(time))
    strips = {"arrived": time.arrived} | {NAMES[kind]: time.ended[kind] for kind in ENDINGS}
    top = max((max(strip) for strip in strips.values() if strip), default=0)
    lines += [
        f"{name:>{MARGIN - 2}} {_BORDERS[ramp == BLOCKS]}{_strip(strip, top, ramp)} {sum(strip):>7,}"
        for name, strip in strips.items()
        if name == "arrived" or any(strip)
    ]
    return lines


_BORDERS: Final = ("|", "▏")


def _row(values: list[int], most: int, row: int, ramp: str) -> str:
    """Return one row of the area: each character shows the part of its value between `row` and the next."""
    steps = len(ramp) - 1
    heights = [value * HEIGHT / most if most else 0.0 for value in values]
    return "".join(ramp[round(min(1.0, max(0.0, height - row)) * steps)] for height in heights)


def _strip(values: list[int], top: int, ramp: str) -> str:
    steps = len(ramp) - 1
    # One click is seen, however high the other columns are.
    return "".join(ramp[max(bool(value), round(value * steps / top)) if top else 0] for value in values)


def _axis(time: Timeline) -> str:
    left, middle, right = "0 s", f"{time.seconds / 2:.3g}", f"{time.seconds:.3g} s"
    width = time.columns
    before = max(1, width // 2 - len(left) - len(middle) // 2)
    after = max(1, width - len(left) - before - len(middle) - len(right))
    return " " * MARGIN + left + " " * before + middle + " " * after + right
