"""A soak: mixed load with faults for as long as wanted, and the numbers of the server's processes meanwhile.

Used short by a test and long by benchmarks/bench_soak.py.
"""

import asyncio
import json
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sidecar.config.tokens import hash_of
from sidecar.demo.options import Options
from sidecar.demo.provider import Demo
from sidecar.demo.server import serve
from tests.support.soak.callers import GONE, KINDS, MARK, TOKENS, Site
from tests.support.soak.process import Soaked, numbers_of, soaked
from tests.support.soak.report import Numbers, Report, Sample, left_over
from tests.support.soak.wire import LostError

CALLERS_AT_ONCE: Final = 300
SETTLE_SECONDS: Final = 600.0
"""Longest time until all are at rest: a connection to a provider is idle for 30 s first, and jobs whose own texts make
the provider fail are tried three times, 70 s between the last two; a full queue of these keeps a worker busy."""
PHASES: Final[tuple[dict[str, Any], ...]] = (
    *[{}] * 8,
    {"status": 503, "fail": 0.5},
    {"status": 503},
    {"stall": 0.2},
    {"cut": "body", "cut_share": 0.3},
    {"garbage": "html", "garbage_share": 0.5},
    {"latency": 1.0},
    {"slots": 2},
    {"queue": True, "slots": 3},
)
FEWER: Final = 2
_JOB: Final = "Consumer.run_job"
"""Coroutine of a job that runs in a worker."""
_SETTINGS: Final = {
    "CONCURRENCY": "16",
    "QUEUE_SIZE": "100",
    "REQUEST_TIMEOUT": "3",
    "CALL_TIMEOUT": "3",
    "JOB_TIMEOUT": "10",
    "SHUTDOWN_GRACE": "5",
    "MAX_BODY_BYTES": "1MiB",
    "OFFLOAD_THRESHOLD": "3000",
    # What is meant to grow up to a bound reaches it in the first minutes.
    "CACHE_TTL": "30",
    "CACHE_BYTES": "1MiB",
    "JOB_RESULT_TTL": "30",
    "JOB_QUEUE_SIZE": "50",
    "USAGE_USERS": "true",
    "USER_SECRET": "canary-soak-secret",
    "AI_REQUIRE_TOKEN": "true",
}


class _Soak:
    """One soak under way."""

    def __init__(self, server: Soaked, demos: list[Demo], folder: Path, seed: int) -> None:
        self.report = Report()
        self.server = server
        self.demos = demos
        self.folder = folder
        self.dice = random.Random(seed)
        self.began = time.monotonic()
        self._callers: set[asyncio.Task[None]] = set()
        self._number = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    async def callers(self, rate: float, until: float) -> None:
        """Send callers of every kind, `rate` a second, until the point `until`; return once all have gone."""
        kinds, weights = list(KINDS), list(KINDS.values())
        while self.seconds < until:
            await asyncio.sleep(self.dice.expovariate(rate))
            if len(self._callers) < CALLERS_AT_ONCE:
                [kind] = self.dice.choices(kinds, weights)
                self._begin(kind)
        if self._callers:
            await asyncio.wait(self._callers)

    async def one_of_each(self) -> None:
        """Send each kind of caller a few times, so that whatever is made at its first use is there."""
        for kind in [*KINDS] * 3:
            self._begin(kind)
            await asyncio.sleep(0.02)
        await asyncio.wait(self._callers)

    def _begin(self, kind: Any) -> None:
        self._number += 1
        site = Site(self.server.address, random.Random(self.dice.random()), self._number)
        task = asyncio.create_task(self._caller(kind, site))
        self._callers.add(task)
        task.add_done_callback(self._callers.discard)

    async def _caller(self, kind: Any, site: Site) -> None:
        try:
            outcome = await kind(site)
        except LostError as exc:
            self.report.broken[f"{kind.__name__}: {exc}"] += 1
            return
        except OSError:
            outcome = GONE  # its own leaving
        self.report.outcomes[kind.__name__, outcome] += 1
        if outcome == "internal":
            self.report.broken[f"{kind.__name__}: internal"] += 1

    async def phases(self) -> None:
        """Change how the providers behave, every few seconds."""
        while True:
            await asyncio.sleep(self.dice.uniform(2, 8))
            demo = self.dice.choice(self.demos)
            demo.reset()
            demo.behave(**self.dice.choice(PHASES))

    async def reloads(self) -> None:
        """Have the server read its files again: other ones, wrong ones, the first ones."""
        while True:
            await asyncio.sleep(self.dice.uniform(1, 5))
            write_files(self.folder, self.demos, variant=self.dice.randrange(4))
            self.server.process.send_signal(signal.SIGHUP)

    async def sampling(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            at = self.seconds
            for name, numbers in (await self.look()).items():
                self.report.samples.setdefault(name, []).append(Sample(at, numbers))

    async def look(self) -> dict[str, Numbers]:
        """Return the numbers of each process now."""
        found: dict[str, Numbers] = {}
        for name, pid in self.server.family().items():
            with suppress(OSError):  # ended meanwhile
                numbers = numbers_of(pid)
                if name != "valkey":
                    inside = await self.server.look(pid)
                    numbers |= {key: float(inside[key]) for key in ("tasks", "objects") if key in inside}
                    self.report.tasks[name] = inside.get("names", {})
                if name == "server":
                    numbers["series"] = await self._series()
                found[name] = numbers
        return found

    async def _series(self) -> float:
        page = (await self.server.address.get("/metrics")).body.decode()
        if MARK in page:
            self.report.broken["a caller's own name is in a metric"] += 1
        return float(sum(not line.startswith("#") for line in page.splitlines()))

    async def rest(self, before: dict[str, Numbers] | None = None, *, slack: float = 0.0) -> dict[str, Numbers]:
        """Return the numbers once all are at rest: as `before` and within `slack`, or the time is over.

        Without slack, at rest means that no job runs either.
        """
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            found = await self.look()
            del found["valkey"]  # its connections are those of the others, which are looked at
            working = not slack and _JOB in self.report.tasks["worker"]
            calm = before is None or not left_over(before, found, slack=slack)
            if (calm and not working) or time.monotonic() > until:
                return found
            await asyncio.sleep(0.5)

    async def held(self) -> None:
        """Check that the server holds no place, byte, slot or flight of callers that have gone."""
        status: Any = {}
        for _ in range(100):
            status = json.loads((await self.server.address.get("/status")).body)
            places, slots = status["places"]["now"], status["slots"]
            if not (places or status["bytes"]["now"] or slots["running"] or slots["waiting"]):
                return
            await asyncio.sleep(0.1)
        self.report.broken[f"held by nobody: {status['places']} {status['bytes']} {status['slots']}"] += 1


def write_files(folder: Path, demos: list[Demo], *, variant: int = 0) -> None:
    """Write the files of providers and tokens: 0 the first ones, 1 others, 2 fewer entries, 3 wrong ones."""
    tables = [
        f'[[provider]]\nname = "p{n}"\nbase_url = "{demo.url}/v1"\nmodel = "demo"' for n, demo in enumerate(demos)
    ]
    ends = ('\nclasses = ["interactive"]', "\npriority = 2\nconcurrency = 4", "", "\nconcurrency = -1")
    tables[-1] = "" if variant == FEWER else tables[-1] + ends[variant]
    (folder / "providers.toml").write_text("\n".join(tables))
    user = ("requests_per_minute = 60\nat_once = 4", "at_once = 3", "", "at_one = 3")[variant]
    narrow = "requests_per_minute = 60\nuser = { requests_per_minute = 10 }"
    lines = [f"[site]\ntokens_per_day = 100_000_000\n[user]\n{user}"]
    for name, token in TOKENS.items():
        lines.append(f'[[token]]\nname = "{name}"\nhash = "{hash_of(token)}"' + (f"\n{narrow}" * (name == "narrow")))
    (folder / "tokens.toml").write_text("\n".join(lines))


@asynccontextmanager
async def _beside(*tasks: Any) -> AsyncIterator[None]:
    """Run these beside the block, and end them with it."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def soak(seconds: float, *, rate: float = 40.0, seed: int = 1, slack: float = 0.0) -> Report:
    """Load the server for `seconds` with `rate` callers a second; `slack`: more that may be left at rest."""
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        folder = Path(name)
        options = Options(latency=0.05, jitter=0.04, seed=seed)
        async with serve(options) as first, serve(options) as second:
            demos = [first, second]
            write_files(folder, demos)
            files = {"PROVIDERS_FILE": "providers.toml", "TOKENS_FILE": "tokens.toml", "USAGE_FILE": "usage.db"}
            places = {key: str(folder / value) for key, value in files.items()}
            async with soaked(folder, **_SETTINGS, **places) as server:
                report = await _soak(_Soak(server, demos, folder, seed), seconds, rate, slack)
                if code := await server.stop():
                    report.broken[f"exit code {code}"] += 1
            for fault in server.faults:
                report.broken[f"in the log: {fault[:300]}"] += 1
    return report


async def _soak(soak: _Soak, seconds: float, rate: float, slack: float) -> Report:
    await soak.one_of_each()
    await soak.held()
    before = await soak.rest()
    soak.began = time.monotonic()
    warm = min(60.0, seconds / 5)
    async with _beside(soak.phases(), soak.reloads()):
        await soak.callers(rate, warm)
        async with _beside(soak.sampling(max(0.5, min(5.0, seconds / 60)))):
            await soak.callers(rate, seconds)
    for demo in soak.demos:
        demo.reset()
    await soak.held()
    soak.report.left_over = left_over(before, await soak.rest(before, slack=slack), slack=slack)
    return soak.report
