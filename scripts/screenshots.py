"""Pictures of the dashboard: a real server before the demo provider, at rest, in a burst, in trouble, dark and small.

Usage: screenshots.py [FOLDER]. Needs `make dev` and Chromium. Without a folder, the pictures of docs/ are taken anew.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from rig import burst, demo_upstream, post, sidecar  # noqa: E402 - the path comes first

from tests.support.chromium import Tab, chromium  # noqa: E402

IN_DOCS = ("rest", "burst", "down", "phone", "dark")
WIDE, LOW, PHONE = (1280, 950), (1280, 800), (390, 844)
SMALLER = ("pngquant", "--speed=1", "--strip", "--quality=70-95", "-")
"""A third of the bytes, where it is installed (Debian: apt install pngquant)."""


def bodies(count: int, *, same: int) -> list[bytes]:
    """Return chats of a class; every `same`-th is a summary of one page that all of them read."""
    page = "The moon circles the Earth, and its pull raises the tides twice a day. " * 8
    return [
        json.dumps(
            {"action": "summarize", "content": page, "user_id": number}
            if number % same == 0
            else {"action": "chat", "content": f"{number}: why is the sky blue?", "user_id": number}
        ).encode()
        for number in range(count)
    ]


async def shoot(tab: Tab, folder: Path, name: str, *, whole: bool = False) -> None:
    if folder == ROOT / "docs" and name not in IN_DOCS:
        return
    picture = await tab.picture(whole=whole)
    if shutil.which(SMALLER[0]):
        packed = await asyncio.to_thread(subprocess.run, SMALLER, input=picture, check=True, capture_output=True)
        picture = packed.stdout
    (folder / f"dashboard-{name}.png").write_bytes(picture)
    print(f"dashboard-{name}.png: {len(picture) / 1024:.0f} KiB")


def behave(upstream: str, **options: Any) -> None:
    post(f"{upstream}/demo/behave", options)


async def pictures(folder: Path, upstream: str, url: str) -> None:
    async with chromium() as tab:
        await tab.size(*WIDE)
        await tab.go(f"{url}/dashboard")
        await tab.until("!document.getElementById('data').hidden")
        behave(upstream, latency=1.2, jitter=0.5, slots=16)
        for size, within in ((60, 15.0), (240, 12.0), (50, 15.0), (300, 16.0), (40, 12.0)):
            await burst(url, bodies(size, same=3), within=within)
        await asyncio.sleep(12)
        await shoot(tab, folder, "rest")
        rush = asyncio.create_task(burst(url, bodies(1300, same=3), within=26.0))
        await asyncio.sleep(24)
        await shoot(tab, folder, "burst")
        await tab.prefer("dark")
        await tab.until("document.documentElement.dataset.theme === 'dark'")
        await shoot(tab, folder, "dark", whole=True)
        await tab.size(*PHONE, scale=1.5)
        await asyncio.sleep(1.2)
        await shoot(tab, folder, "phone")
        await shoot(tab, folder, "phone-whole", whole=True)
        await rush
        await tab.size(*LOW)
        await tab.prefer("light")
        await tab.until("document.documentElement.dataset.theme === 'light'")
        behave(upstream, status=401)
        await burst(url, bodies(40, same=50), within=5.0)
        await asyncio.sleep(1.2)
        await shoot(tab, folder, "down")


@contextmanager
def site() -> Iterator[tuple[str, str]]:
    with demo_upstream() as upstream, sidecar(upstream) as (url, _):
        yield upstream, url


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs")
    with site() as (upstream, url):
        asyncio.run(pictures(folder, upstream, url))


main()
