"""Load the real server with its jobs for an hour, with callers and faults of every kind; say whether it stays flat.

Usage: bench_soak.py [MINUTES] [CALLERS A SECOND] [SEED]. Exits with 1 where something grows beyond its bound
(`BOUNDS` and `REST` in tests/support/soak/report.py) or a caller is left without an answer.
"""

import asyncio
import sys

from rig import ROOT, line

sys.path.insert(0, str(ROOT))

from tests.support.soak.report import Report, trends
from tests.support.soak.run import soak

DEFAULTS = ("60", "40", "1")


def print_report(report: Report) -> None:
    for process, samples in report.samples.items():
        print(f"\n{process}: {len(samples)} samples")
        print(f"  {'':<14}{'first quarter':>14}{'last quarter':>14}{'bound':>10}{'most':>10}{'slope an hour':>16}")
        for trend in trends(samples):
            print(
                f"  {trend.name:<14}{trend.first:>14.1f}{trend.last:>14.1f}{trend.bound:>10.1f}"
                f"{trend.most:>10.1f}{trend.slope:>16.1f}"
            )
    print("\nwhat callers got")
    for kind in dict.fromkeys(kind for kind, _ in sorted(report.outcomes)):
        got = {outcome: count for (of, outcome), count in report.outcomes.most_common() if of == kind}
        line(kind, ", ".join(f"{outcome} {count}" for outcome, count in got.items()))


def main() -> None:
    minutes, rate, seed = (float(word) for word in (*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]))
    print(f"\n{minutes:g} minutes of mixed load with faults, {rate:g} callers a second")
    report = asyncio.run(soak(minutes * 60, rate=rate, seed=int(seed)))
    print_report(report)
    print()
    line("callers without an answer, and faults of ours", str(sum(report.broken.values())), not report.broken)
    for law, count in report.broken.most_common(20):
        print(f"    {count} x {law}")
    line("what grows under load", str(len(report.growing)), not report.growing)
    line("what is left at rest", str(len(report.left_over)), not report.left_over)
    for words in (*report.growing, *report.left_over):
        print(f"    {words}")
    for process, tasks in report.tasks.items():
        print(f"  tasks of the {process} at the end: {tasks}")
    sys.exit(bool(report.broken or report.growing or report.left_over))


if __name__ == "__main__":
    main()
