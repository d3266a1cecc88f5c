"""Run tests/support/chaos.py with many seeds, each a mix of faults, cancellations and signals; count the losses.

Usage: bench_chaos.py [RUNS] [REQUESTS] [FIRST SEED]
"""

import asyncio
import sys

from rig import ROOT, line

sys.path.insert(0, str(ROOT))

from tests.support.chaos import run


def main() -> None:
    runs, requests, first = (int(word) for word in (*sys.argv[1:], *("20", "1500", "1")[len(sys.argv) - 1 :]))
    print(f"\n{runs} runs of {requests} requests under mixed faults")
    broken = 0
    for seed in range(first, first + runs):
        report = asyncio.run(run(seed, requests=requests, seconds=10.0))
        broken += len(report.broken)
        line(f"seed {seed}", str(dict(report.codes)))
        for law in report.broken:
            print(f"    {law}")
    line("lost, answered twice, mixed up or left behind", str(broken), broken == 0)
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
