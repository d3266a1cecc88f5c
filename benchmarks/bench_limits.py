"""400 callers in a second, 25 s each, at a provider whose limit is unknown: callers answered, time, and cost.

Four candidates run one after the other, each at a fresh demo provider: ours at CONCURRENCY 64; a bare relay with
retries (relay_retrying.py); the same relay with the true limit given; and revision 7404111 of ours, the last whose
limit did not come from refusals alone. Columns: callers answered, last answer as a multiple of the ideal, refused
calls and their share of the answers. The ideal is the time of the last answer where calls cost only the provider's
work and are sent the moment the provider admits them: computed by `ideal` in tests/support/worlds.py.
Usage: bench_limits.py [SCENE ...] [--runs N] [--only ours|relay|informed|before] [--json FILE]; `cpu` is a scene too.
All of it takes half an hour, ours alone six minutes.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from limit_scenes import FOREVER, SCENES, Scene, ours
from rig import ROOT, Command, demo_upstream, get, line, post, run_burst

from tests.support.worlds import World, ideal

BEFORE = "7404111"
RELAY = str(Path(__file__).with_name("relay_retrying.py"))
CANDIDATES = {"ours": "ours", "relay": "relay, 10 retries", "informed": "relay with the true limit", "before": BEFORE}
CPU_SCENE = Scene(World(name="64 slots, 2,000 callers", slots=((64, FOREVER),), hold=0.3, callers=2000))
CPU_RUNS = 3


class Result(NamedTuple):
    """Measurements of one burst, or the medians of several runs."""

    answered: float
    last: float
    """Seconds from the first call to the last answer."""
    refused: float
    cpu: float
    """Microseconds of the candidate's CPU a caller."""

    def summary(self, best: float) -> str:
        share = self.refused / self.answered if self.answered else 0.0
        return f"{self.answered:.0f}  {self.last / best:.2f}  {self.refused:.0f} ({share:.0%})"

    def holds(self, scene: Scene, best: float) -> bool:
        return (
            self.answered == scene.world.callers
            and self.last <= scene.slowest * best
            and self.refused <= scene.most_refused * self.answered
        )


@contextlib.contextmanager
def revision(name: str) -> Iterator[dict[str, str]]:
    """Check out another revision; yield the environment that runs its code."""
    with tempfile.TemporaryDirectory() as folder:
        tree = f"{folder}/tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, name], cwd=ROOT, check=True)
        try:
            # The folder that a command starts in must not come first.
            yield {"PYTHONPATH": tree, "PYTHONSAFEPATH": "1"}
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def shares(world: World) -> list[World]:
    """Return one world for each sidecar, with a fair share of the slots."""
    count = world.sidecars
    return [
        msgspec.structs.replace(
            world, slots=tuple(((slots + count - 1 - place) // count, seconds) for slots, seconds in world.slots)
        )
        for place in range(count)
    ]


class Bench:
    def __init__(self, before: dict[str, str]) -> None:
        self._before = before

    def run(self, candidate: str, scene: Scene) -> Result:
        """Run one burst at a fresh provider."""
        with contextlib.ExitStack() as stack:
            upstream = stack.enter_context(demo_upstream(*scene.demo_words()))
            started = [stack.enter_context(self._started(candidate, upstream, world)) for world in shares(scene.world)]
            urls = [url for url, _ in started]
            if candidate in ("ours", "before"):
                post(f"{upstream}/demo/reset")
            used = sum(command.cpu() for _, command in started)
            answers = run_burst(urls, scene.bodies())
            used = sum(command.cpu() for _, command in started) - used
            ends = [answer.received for answer in answers if answer.code == "ok"]
            refused = get(f"{upstream}/demo/stats")["refused"]
            return Result(len(ends), max(ends, default=0.0), refused, used / scene.world.callers * 1e6)

    @contextlib.contextmanager
    def _started(self, candidate: str, upstream: str, world: World) -> Iterator[tuple[str, Command]]:
        if candidate in ("ours", "before"):
            env = self._before if candidate == "before" else {}
            with ours(upstream, **env) as started:
                yield started
            return
        known = (msgspec.json.encode(world).decode(),) if candidate == "informed" else ()
        command = Command(upstream, *known, program=(RELAY,), ready="http://")
        try:
            yield command.log[-1].strip(), command
        finally:
            command.process.terminate()
            command.process.wait(10)


def median(results: list[Result]) -> Result:
    return Result(*(statistics.median(column) for column in zip(*results, strict=True)))


def table(bench: Bench, names: list[str], candidates: list[str], runs: int) -> list[dict[str, object]]:
    """Print a line a scene, then the scenes in which ours misses what it should reach."""
    print("\n400 distinct chats in 1 s, 25 s each, CONCURRENCY 64: answered, last answer x ideal, calls refused")
    print(f"  {'provider':<32}{'ideal':>8}" + "".join(f"{CANDIDATES[one]:>25}" for one in candidates))
    rows: list[dict[str, object]] = []
    missed: list[tuple[str, str]] = []
    for name in names:
        scene = SCENES[name]
        best = ideal(scene.world).last
        print(f"  {scene.world.name:<32}{best:>6.1f} s", end="", flush=True)
        for one in candidates:
            result = median([bench.run(one, scene) for _ in range(runs)])
            print(f"{result.summary(best):>25}", end="", flush=True)
            rows.append({"scene": name, "name": scene.world.name, "candidate": one, "ideal": best} | result._asdict())
            if one == "ours" and not result.holds(scene, best):
                missed.append((scene.world.name, result.summary(best)))
        print(flush=True)
    if "ours" in candidates:
        line("scenes in which ours answers all, in time, few refused", f"{len(names) - len(missed)} of {len(names)}")
        for name, summary in missed:
            line(name, summary, verdict=False)
    return rows


def cpu(bench: Bench, candidates: list[str]) -> list[dict[str, object]]:
    """Print the CPU a request where no call is refused, the candidates in turn."""
    best = ideal(CPU_SCENE.world).last
    print(f"\n2,000 distinct chats in 1 s; 64 slots of 0.3 s; ideal {best:.1f} s; median of {CPU_RUNS}")
    found: dict[str, list[Result]] = {one: [] for one in candidates}
    for _ in range(CPU_RUNS):
        for one in candidates:
            found[one].append(bench.run(one, CPU_SCENE))
    rows: list[dict[str, object]] = []
    for one, results in found.items():
        result = median(results)
        line(f"{CANDIDATES[one]}: CPU a request", f"{result.cpu:.0f} us; {result.summary(best)}")
        rows.append({"scene": "cpu", "name": CPU_SCENE.world.name, "candidate": one, "ideal": best} | result._asdict())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"{', '.join(SCENES)}, cpu; default all")
    parser.add_argument("--runs", type=int, default=1, help="bursts of each candidate; medians are shown")
    parser.add_argument("--only", action="append", choices=CANDIDATES, help="one candidate; may be given again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go too")
    options = parser.parse_args()
    if unknown := set(options.scenes) - {*SCENES, "cpu"}:
        parser.error(f"no such scene: {', '.join(sorted(unknown))}")
    names = options.scenes or [*SCENES, "cpu"]
    candidates = options.only or list(CANDIDATES)
    with contextlib.ExitStack() as stack:
        bench = Bench(stack.enter_context(revision(BEFORE)) if "before" in candidates else {})
        rows: list[dict[str, object]] = []
        if by_table := [name for name in names if name != "cpu"]:
            rows += table(bench, by_table, candidates, options.runs)
        if "cpu" in names:
            rows += cpu(bench, [one for one in candidates if one != "relay"])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
