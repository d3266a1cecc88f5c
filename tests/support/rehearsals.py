"""Clicks, results and facts of a rehearsal, made by hand; the command as a process. No promises here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sidecar.rehearse.advice import Facts
from sidecar.rehearse.drive import Log
from sidecar.rehearse.plan import Plan
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.result import Result, result_of
from sidecar.rehearse.server_numbers import ProviderCalls, ServerNumbers
from tests.support.paths import ROOT
from tests.support.server_process import finished

SERVER = {
    "slots": {"found": 64, "ceiling": 64},
    "places": {"most": 2048},
    "flights": {"joined": 0, "hits": 0},
    "call_seconds": 2.0,
}


def log_of(clicks: Iterable[Click], *, seconds: float = 10.0, most_waiting: int = 0) -> Log:
    log = Log()
    for click in clicks:
        log.begin()
        log.end(click)
    log.seconds, log.most_waiting = seconds, max(log.most_waiting, most_waiting)
    return log


def clicks_of(**codes: int) -> list[Click]:
    """Return so many clicks of each code, each of one second."""
    return [Click(0.0, 1.0, Reply(code)) for code, count in codes.items() for _ in range(count)]


def result_with(
    *clicks: Click, provider: ProviderCalls | None = None, interrupted: bool = False, most_waiting: int = 0
) -> Result:
    return result_of(Plan(), log_of(clicks, most_waiting=most_waiting), provider, interrupted=interrupted)


def server_with(**changes: object) -> ServerNumbers:
    return msgspec.convert(SERVER | changes, ServerNumbers)


def facts_of(server: ServerNumbers | None = None, *, most_waiting: int = 0, **codes: int) -> Facts:
    result = result_with(*clicks_of(**codes), most_waiting=most_waiting)
    return Facts(result=result, server=server, needed=sum(codes.values()))


class Done(NamedTuple):
    """What the command left."""

    code: int
    out: bytes
    said: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def start(*words: str, stderr: Any = PIPE, **env: str) -> Process:
    """Start the command in an environment of `env` alone."""
    command = [sys.executable, "-m", "sidecar", "rehearse", "--env-file=/dev/null", *words]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=env, stdin=PIPE, stdout=PIPE, stderr=stderr)


async def rehearse(*words: str, **env: str) -> Done:
    return Done(*await finished(await start(*words, **env)))


def children_of(pid: int) -> set[int]:
    """Return the processes whose parent is `pid`."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.add(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
