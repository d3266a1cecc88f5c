"""Check of the usage file: whether it can be read, and what is in it. Nothing in it is changed."""

import asyncio
from pathlib import Path

from sidecar.config.settings import Settings
from sidecar.doctor.findings import Finding
from sidecar.usage.report import Unreadable, report


async def check(settings: Settings) -> list[Finding]:
    """Look at the file of USAGE_FILE."""
    return [await asyncio.to_thread(_look, Path(settings.usage_file))]


def _look(path: Path) -> Finding:
    try:
        found = report([str(path)], ["day"])
    except Unreadable as exc:
        if path.exists():
            cure = "run the doctor as root; if it is another program's file, name another one"
            return Finding("usage", "failed", str(exc), cure)
        if not path.parent.is_dir():
            cure = "create it for the sidecar's user; under systemd, take /var/lib/openai-moodle-sidecar/usage.db"
            return Finding("usage", "failed", f"there is no folder {path.parent}", cure)
        return Finding("usage", "note", f"there is no {path} yet; the next request creates it")
    last = found.rows[-1][0][0] if found.rows else "none yet"
    return Finding("usage", "ok", f"{found.total[0]} requests counted in {path}, the last day: {last}")
