"""Command `openai-moodle-sidecar rehearse`: a class clicks, and the report says what its pupils saw."""

import logging
import os
import shutil
import sys
from typing import Final

from sidecar.cli.flags import report_faults
from sidecar.cli.progress import FAULT, Progress
from sidecar.cli.rehearse_flags import COMMAND, Order, read
from sidecar.cli.rehearse_progress import LiveLine
from sidecar.core import events
from sidecar.core.errors import ConfigError
from sidecar.rehearse import svg, terminal_chart
from sidecar.rehearse.descriptors import reserve
from sidecar.rehearse.drive import Log
from sidecar.rehearse.report import Report, as_json, as_text
from sidecar.rehearse.timeline import timeline
from sidecar.stdio.descriptors import fill_missing

_NARROWEST: Final = 20
_WIDEST: Final = 100
"""Columns of the chart."""


def main(argv: list[str]) -> int:
    """Rehearse; return 0, 1 if an expectation did not hold or the class did not end, 2 for an invalid command line."""
    fill_missing()
    try:
        order = read(argv)
        reserve(order.plan.users)
    except ConfigError as exc:
        return report_faults(exc, COMMAND)
    events.LOGGER.addHandler(logging.NullHandler())  # the report says it all; without a handler, events reach stderr
    progress = Progress(COMMAND)
    progress.say(f"{order.plan.total:,} clicks at {order.url or 'a sidecar and a demo provider of its own'}")
    found = _found(order, progress)
    if isinstance(found, int):
        return found
    return _show(*found, order, progress)


def _found(order: Order, progress: Progress) -> tuple[Report, Log] | int:
    """Return report and clicks, or the exit code without them."""
    # Late: a wrong call needs neither an HTTP client nor an event loop.
    from sidecar.rehearse.processes import NotStartedError  # noqa: PLC0415
    from sidecar.rehearse.rehearsal import NotServingError, Rehearsal, rehearse  # noqa: PLC0415
    from sidecar.runtime.signals import stop_requested  # noqa: PLC0415
    from sidecar.wiring import run  # noqa: PLC0415

    rehearsal = Rehearsal(
        plan=order.plan,
        settings=order.settings,
        url=order.url,
        demo_flags=order.demo_flags,
        expectations=order.expectations,
    )
    line, found = LiveLine(progress, order.plan.total), list[tuple[Report, Log]]()

    def say_where(base: str) -> None:
        progress.say(f"to be seen live at {base}/dashboard{'' if order.url else ' until the class ends'}")

    async def work() -> int:
        with stop_requested() as stop:
            found.append(await rehearse(rehearsal, line.show, stop, say_where))
        return 0

    trouble = ""
    try:
        run(work, fast_loop=True)
    except (NotServingError, NotStartedError) as exc:
        trouble = f"{order.url}: {exc}" if order.url else str(exc)
    finally:
        line.close()
    if trouble:
        progress.say(trouble)
        return FAULT
    return found[0]


def _show(report: Report, log: Log, order: Order, progress: Progress) -> int:
    code = 0 if report.held else FAULT
    if order.svg is not None:
        try:
            order.svg.write_text(svg.picture(report.result, log.clicks), "utf-8")
        except OSError as exc:
            progress.say(f"{order.svg}: {exc.strerror or exc}")
            code = FAULT
    # A closed stdout has no encoding.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = as_json(report) + b"\n" if order.json else as_text(report, _chart(log, encoding)).encode(encoding, "replace")
    try:
        while text:
            text = text[os.write(1, text) :]
    except OSError as exc:
        progress.say(f"the result cannot be written: {exc.strerror or exc}")
        code = FAULT
    return code


def _chart(log: Log, encoding: str) -> list[str]:
    others = terminal_chart.MARGIN + terminal_chart.TOTALS
    columns = min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size().columns - others))
    ramp = terminal_chart.BLOCKS
    try:
        ramp.encode(encoding)
    except UnicodeEncodeError:
        ramp = terminal_chart.ASCII
    return terminal_chart.chart(timeline(log.clicks, log.seconds, columns), ramp=ramp)
