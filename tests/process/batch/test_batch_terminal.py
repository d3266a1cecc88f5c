"""Promise of `batch` on a terminal: replies, bar and lines of the log each have rows of their own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE
from tests.support.terminals import rows, shown, terminal


async def test_replies_never_share_a_row_with_the_bar(tmp_path: Path) -> None:
    """With both on one screen the replies stay whole, and failures stand out in the last line."""
    source = tmp_path / "in.jsonl"
    texts = [f"A text about number {n}. It tells of rivers." for n in range(40)]
    texts[7] += " [demo empty=1 status=400 fail=1]"
    source.write_text("".join(json.dumps({"action": "summarize", "content": text}) + "\n" for text in texts))
    with terminal() as (ours, theirs):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "sidecar", "batch", str(source), "-", "--demo", "--log-level=debug"],
            cwd=ROOT,
            env={},
            stdin=DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text = asyncio.create_task(asyncio.to_thread(shown, ours))
        async with asyncio.timeout(PATIENCE):
            await process.wait()
            screen = rows(await text)
    replies = [row for row in screen if row.startswith("{")]
    assert [json.loads(row)["line"] for row in replies] == list(range(1, 41))
    assert not any('"success"' in row for row in screen if not row.startswith("{"))
    assert any("40/40" in row for row in screen)
    last = next(row for row in reversed(screen) if row)
    assert last.startswith("openai-moodle-sidecar batch: FAILED: 39 answered, 1 ")
