"""The doctor for tests: the real command, and its report parsed. No promises here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from typing import Any, NamedTuple

from sidecar.demo.provider import Demo
from tests.support.paths import ROOT

KEY = "sk-canary-0123456789"
PATIENCE = 60.0


class DoctorRun(NamedTuple):
    """Exit code and output of one run."""

    code: int
    text: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def finding(self, check: str) -> Any:
        """Return the finding of that check."""
        [found] = [finding for finding in self.json["findings"] if finding["check"] == check]
        return found

    def state(self, check: str) -> str:
        return str(self.finding(check)["state"])

    def setting(self, name: str) -> tuple[str, str]:
        [found] = [origin for origin in self.json["settings"] if origin["name"] == name]
        return found["value"], found["source"]


async def doctor(*words: str, **env: str) -> DoctorRun:
    """Run the command in an environment of `env` alone; check that no secret is in its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar", "doctor", *words, cwd=ROOT, env=env, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"canary" not in out + err
    return DoctorRun(process.returncode, out.decode(), err.decode())


async def report(*words: str, **env: str) -> DoctorRun:
    said = await doctor("--json", *words, **env)
    assert said.err == ""
    assert said.code == (0 if said.json["ok"] else 1)
    return said


def at(demo: Demo, *more: str) -> tuple[str, ...]:
    return (f"--base-url={demo.url}/v1", f"--api-key={KEY}", "--model=demo", *more)
