"""Promises of `rehearse` as an administrator starts it: a class, its numbers, its end, and nothing left behind."""

import asyncio
import json
import os
import signal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sidecar.core.errors import UpstreamUnreachable
from tests.support.canaries import TOKEN, arguments_of
from tests.support.event_streams import EventReader
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Caller, head, running
from tests.support.rehearsals import Done, alive, children_of, rehearse, start
from tests.support.server_process import finished
from tests.support.terminals import rows, shown, terminal
from tests.support.workers import PATIENCE

CLASS = ("--users=40", "--within=1", "--slots=4", "--latency=0.1", "--same-page=0.5")
KEYS = {
    "version",
    "plan",
    "interrupted",
    "seconds",
    "clicks",
    "answered",
    "refused",
    "late",
    "errors",
    "unfinished",
    "waits",
    "refusal_waits",
    "provider",
    "php",
    "behind_seconds",
    "advice",
    "expected",
    "held",
}
"""Keys of `--json`, which docs/rehearsal.md explains."""


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_class_with_a_demo_provider_of_its_own(tmp_path: Path) -> None:
    """40 pupils in a second at 4 slots: all are answered, half of the calls are saved, and the numbers agree."""
    picture = tmp_path / "class.svg"
    done = await rehearse(*CLASS, "--json", f"--svg={picture}", "--expect", "answered=100%, errors=0, saved>=10,p95<20")
    assert done.code == 0, done.said
    found = done.json
    assert set(found) == KEYS
    assert (found["clicks"], found["answered"], found["held"], found["interrupted"]) == (40, 40, True, False)
    assert found["refused"] == found["late"] == found["errors"] == {}
    assert found["provider"]["source"] == "demo"
    assert found["provider"]["answered"] + found["provider"]["saved"] == 40
    assert 0 < found["waits"]["p50"] <= found["waits"]["p95"] <= found["waits"]["p99"] <= found["waits"]["max"]
    assert 0 < found["php"]["workers"] <= 40
    assert [verdict["held"] for verdict in found["expected"]] == [True] * 4
    assert "40 pupils within 1 s: 100 % answered" in picture.read_text("utf-8")
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert "The moon" not in done.out.decode() + done.said + picture.read_text("utf-8")


@pytest.mark.parametrize("route", ["ai", "v1"])
async def test_a_rehearsal_leaves_the_sites_own_numbers_alone(tmp_path: Path, route: str) -> None:
    """Its clicks meet the site's limits, and neither stand in its usage nor use up its tokens of the day."""
    token = f'[[token]]\nname = "a"\nhash = "sha256:{"0" * 64}"'
    (tmp_path / "tokens.toml").write_text(f"[site]\ntokens_per_day = 100000\n{token}\n")
    names = {"USAGE_FILE": "usage.db", "STATE_DIR": "state", "TOKENS_FILE": "tokens.toml", "TMPDIR": ""}
    env = {name: str(tmp_path / file) for name, file in names.items()}
    done = await rehearse("--demo", "--users=3", "--within=0", f"--route={route}", "--json", TRACING="true", **env)
    assert (done.code, done.json["answered"]) == (0, 3), done.said
    assert names_in(tmp_path) == ["tokens.toml"]


async def test_ctrl_c_gives_the_result_so_far_and_ends_what_was_started() -> None:
    """On a terminal: progress is seen, Ctrl-C ends the class, the report comes, and no process is left."""
    with terminal() as (ours, theirs):
        process = await start("--users=300", "--within=300", "--latency=0.1", "--json", stderr=theirs)
        os.close(theirs)
        reading, seen = asyncio.get_running_loop(), b""
        async with asyncio.timeout(PATIENCE):
            while b" 1 answered" not in seen:
                seen += await reading.run_in_executor(None, os.read, ours, 65_536)
        children = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        code, out, _ = await finished(process)
        seen += shown(ours)
    assert b"of 300 clicks ended" in seen
    assert not any("clicks ended" in row for row in rows(seen)), "the line is gone before the result comes"
    assert b"Traceback" not in seen
    found = json.loads(out)
    assert (code, found["interrupted"], found["held"]) == (1, True, False)
    assert 1 <= found["clicks"] < 300
    assert len(children) == 2
    assert not any(map(alive, children))


async def test_a_class_is_seen_live_on_the_page_that_the_command_names() -> None:
    """The page and its numbers are open to this machine's browser while the class lasts, without the token."""
    process = await start("--users=300", "--within=300", "--demo")
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(PATIENCE):
        while b"/dashboard" not in said:
            said = await process.stderr.readline()
            assert said
        [url] = [word for word in said.decode().split() if word.startswith("http://")]
        async with await Caller.connect("127.0.0.1", int(url.split(":")[2].split("/")[0])) as page:
            await page.send(head(path="/dashboard/events", method="GET"))
            status, _ = await (events := EventReader(page)).head()
            shown_there = b"".join([await events.event() or b"" for _ in range(2)])
    process.send_signal(signal.SIGINT)
    await finished(process)
    assert (status, b"event: now" in shown_there) == (200, True)


@pytest.mark.parametrize("columns", [40, 80])
async def test_a_narrow_terminal_shows_who_waits(columns: int) -> None:
    """The line of progress fits, and what matters in a burst is not cut off."""
    with terminal(columns) as (ours, theirs):
        process = await start("--users=9", "--within=0.1", "--same-page=0", "--latency=1", "--slots=3", stderr=theirs)
        os.close(theirs)
        seen = await asyncio.to_thread(shown, ours)
        code, _, _ = await finished(process)
    drawn = [piece for piece in seen.decode().split("\r") if " s  " in piece]
    assert code == 0
    assert any("9 waiting" in line for line in drawn), drawn
    assert max(map(len, drawn)) < columns


async def test_ctrl_c_before_the_start_is_no_fault(tmp_path: Path) -> None:
    """As at any other time: the exit code of an interrupt, and no traceback."""
    os.mkfifo(pipe := tmp_path / "env")
    process = await start(f"--env-file={pipe}", "--demo")
    with await asyncio.to_thread(open, pipe, "wb"):  # the command has opened the pipe, and reads it
        process.send_signal(signal.SIGINT)
    # Only now: a signal between the last look at signals and the read does not end the read.
    code, out, said = await finished(process)
    assert (code, out, said) == (130, b"", "")


async def test_a_killed_rehearsal_leaves_no_process(tmp_path: Path) -> None:
    """Not even kill -9 leaves a sidecar or a demo provider behind."""
    process = await start("--users=300", "--within=300", "--demo", TMPDIR=str(tmp_path))
    async with asyncio.timeout(PATIENCE):
        while len(children := children_of(process.pid)) < 2:  # noqa: ASYNC110 - it is another's doing
            await asyncio.sleep(0.01)
        process.kill()
        await finished(process)
        while any(map(alive, children)):  # noqa: ASYNC110 - it is another's doing
            await asyncio.sleep(0.01)


async def test_a_running_sidecar_is_judged_by_its_envelopes() -> None:
    """Failures at status 200 are none the less failures; what was expected did not hold; the token stays hidden."""
    upstream = HeldUpstream(held=True)
    upstream.failure = UpstreamUnreachable()
    async with running(upstream, SIDECAR_TOKEN=TOKEN, AI_REQUIRE_TOKEN="true") as sidecar:
        words = (f"--url={sidecar.listening.url}/ai", "--users=20", "--within=0", "--expect=answered>=99%")
        process = await start(*words, SIDECAR_TOKEN=TOKEN)
        async with asyncio.timeout(PATIENCE):
            await upstream.reached()
        arguments = arguments_of(process.pid)
        upstream.gate.set()
        done = Done(*await finished(process))
    text = done.out.decode()
    assert done.code == 1
    assert "upstream_unreachable 20" in text
    assert "the provider cannot be reached: check OPENAI_BASE_URL" in text
    assert "NOT HELD  answered>=99% (0)" in text
    for hidden in (TOKEN, "The moon"):
        assert hidden not in text + done.said + arguments.decode()


async def test_wrong_calls_and_strangers_servers_are_refused() -> None:
    """Exit code 2 and a line for each fault, before any request; 1 where no sidecar is."""
    far, wrong, nobody = await asyncio.gather(
        rehearse("--url=http://192.0.2.1:8081"),
        rehearse("--demo", "--expect=answred>99%"),
        rehearse("--url=http://127.0.0.1:1"),
    )
    assert (far.code, far.out) == (2, b"")
    assert "--url=http://192.0.2.1:8081: not this machine" in far.said
    assert "--i-know" in far.said
    assert wrong.code == 2
    assert "there is no answred; there are: answered" in wrong.said
    assert nobody.code == 1
    assert "nothing answers there" in nobody.said
