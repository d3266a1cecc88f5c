"""A real Prometheus for tests: started on the shipped configuration, and queried over its API. No promises here."""

import asyncio
import contextlib
import json
import shutil
import urllib.parse
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_sidecar import Caller
from tests.support.paths import ROOT
from tests.support.ports import free_port

PROMETHEUS = shutil.which("prometheus") or ""
PROMTOOL = shutil.which("promtool") or ""
needs_prometheus = pytest.mark.skipif(
    not (PROMETHEUS and PROMTOOL), reason="Prometheus is not installed (Debian: apt install prometheus)"
)
PATIENCE = 60.0


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer of the API."""
        answer = json.loads(await self._fetch(f"/api/v1/{path}?{urllib.parse.urlencode(query)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    async def _fetch(self, address: str) -> bytes:
        async with await Caller.connect("127.0.0.1", self.port, described=False) as caller:
            # HTTP/1.0, so that no answer comes in chunks.
            await caller.send(f"GET {address} HTTP/1.0\r\nHost: prometheus\r\n\r\n".encode())
            return (await caller.rest()).partition(b"\r\n\r\n")[2]

    async def ready(self) -> None:
        """Return once the API answers."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError):
                    if b"Ready" in await self._fetch("/-/ready"):
                        return
                await asyncio.sleep(0.05)

    async def query(self, expression: str) -> list[Any]:
        """Return the series of an expression's result."""
        found = (await self.get("query", query=expression))["result"]
        assert isinstance(found, list)
        return found

    async def scraped(self, target: str, times: int) -> None:
        """Return once so many scrapes of a target succeeded, from now on."""
        async with asyncio.timeout(PATIENCE):
            counted = f'sum_over_time(up{{instance="{target}"}}[1h])'
            before = await self._number(counted)
            while await self._number(counted) < before + times:  # noqa: ASYNC110 - another process scrapes
                await asyncio.sleep(0.05)

    async def _number(self, expression: str) -> float:
        found = await self.query(expression)
        return float(found[0]["value"][1]) if found else 0.0


def configured(folder: Path, server: str, worker: str, every: str) -> Path:
    """Write the shipped configuration for other targets and a quicker scrape; return its path."""
    text = (ROOT / "deploy/prometheus.yml").read_text("utf-8")
    text = text.replace("  # - job_name", "  - job_name").replace("  #   ", "    ")
    text = text.replace('    # params: {exemplars: ["true"]}', '    params: {exemplars: ["true"]}')
    for old, new in (("127.0.0.1:8081", server), ("127.0.0.1:9181", worker), ("15s", every)):
        assert text.count(old) == 1
        text = text.replace(old, new)
    text = text.replace("[alerts.yml]", f"[{ROOT / 'deploy/alerts.yml'}]")
    file = folder / "prometheus.yml"
    file.write_text(text)
    return file


@asynccontextmanager
async def prometheus(folder: Path, file: Path) -> AsyncIterator[Prometheus]:
    """Run Prometheus with a configuration until the block ends."""
    running = Prometheus(free_port())
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{running.port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        await running.ready()
        yield running
    finally:
        process.kill()
        await process.wait()
