"""A real model server behind the sidecar: llama.cpp with a small model, both as processes, and what callers get.

    make try-llama          (or python benchmarks/try_llama.py [--layers 30], on a fast machine)

Installs what llama.lock lists into .venvs/llama, once. The model's words are noise (see llama_server.py); what counts
is queueing, refusals, streams, cancels and restarts. Exits with 1 when something fails that should not. Ends by itself
within LONGEST seconds and leaves no process behind.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from llama_rig import CONTEXT, LOCK, SLOTS, Model, Process, install
from rig import Answer, burst, call, chats, completions, spread, tally

LONGEST = 480.0
"""Seconds of all scenes, at most."""
WAIT = 60.0
"""Seconds that callers wait; the sidecar answers before. More than by default, for machines that are busy."""
SENTENCE = "Water rises from the sea into the air, falls as rain on the hills and runs back in rivers. "


class Table:
    """The outcomes, one a line, and whether all held."""

    def __init__(self) -> None:
        self.failed = 0

    def row(self, what: str, seen: str, holds: bool) -> None:
        self.failed += not holds
        print(f"  {what:<52} {seen}{'' if holds else '   [SHOULD NOT BE]'}", flush=True)


class Site:
    """Model server, sidecar and table."""

    def __init__(self, model: Model, sidecar: Process, table: Table) -> None:
        self.model = model
        self.sidecar = sidecar
        self.row = table.row
        self.url = json.loads(sidecar.line('"listening"'))["ai"].removesuffix("/ai")

    async def ai(self, action: str, content: str, **more: Any) -> Answer:
        body = json.dumps({"action": action, "content": content, **more}).encode()
        return await call(self.url, body, start=time.perf_counter(), timeout=WAIT)


def text(tokens: int, seed: str) -> str:
    """Return a text of about so many tokens, in paragraphs, unlike that of any other seed."""
    count = tokens // 28
    return "".join(f"{seed} {n}: {SENTENCE}" + ("\n\n" if n % 6 == 5 else "") for n in range(count))


async def while_it_loads(site: Site) -> None:
    """The sidecar listens before the model is there: 503 "Loading model" is waited out."""
    answer = await site.ai("chat", "What is rain?")
    site.model.wait()
    site.row("chat sent while the model loads", f"{answer.code} after {answer.seconds:.1f} s", answer.code == "ok")


async def chat(site: Site) -> None:
    answer = await site.ai("chat", "Why does ice float?", context="A lesson about water.", user_id=7)
    words = len((json.loads(answer.body)["data"] or "").split()) if answer.status else 0
    site.row("chat", f"{answer.code}, {words} words after {answer.seconds:.1f} s", answer.code == "ok" and words > 0)


async def long_summary(site: Site) -> None:
    """The sidecar believes in 16,000 tokens, the model takes 2,048: it learns from one refusal, and remembers."""
    first = await site.ai("summarize", text(5000, "A"))
    learned = site.sidecar.events("context_learned")
    size = learned[0].get("tokens") if learned else None
    site.row(
        "summary of 5,000 tokens, context 2,048",
        f"{first.code} after {first.seconds:.1f} s, learned {size}",
        first.code == "ok" and size == CONTEXT,
    )
    second = await site.ai("summarize", text(4000, "B"))
    site.row("the next one", f"{second.code} after {second.seconds:.1f} s", second.code == "ok")
    third = await site.ai("chat", "What is this about?", context=text(4000, "C"))
    site.row("chat with a context of 4,000 tokens", f"{third.code} after {third.seconds:.1f} s", third.code == "ok")
    refused = sum("exceeds the available context" in line for line in list(site.model.process.lines))
    site.row("calls that the model refused for their length", str(refused), refused == 1)


async def stream(site: Site) -> None:
    body = completions(1, stream=True, max_tokens=40, stream_options={"include_usage": True})[0]
    answer = await call(site.url, body, start=time.perf_counter(), path="/v1/chat/completions")
    data = [line[6:] for line in answer.body.decode().split("\n") if line.startswith("data: ")]
    events = [json.loads(one) for one in data if one.startswith("{")]
    usage = [event["usage"]["completion_tokens"] for event in events if event.get("usage")]
    logged = [event for event in site.sidecar.events("answered") if event.get("completion_tokens") in usage]
    good = bool(data) and data[-1].startswith("[DONE]") and len(usage) == 1 and bool(logged)
    site.row("stream of /v1", f"{len(events)} events, usage {usage}, in the log too: {bool(logged)}", good)


async def fifty(site: Site) -> None:
    answers = await burst(site.url, chats(50, size=100), within=0.1, timeout=WAIT)
    counts = tally(answers)
    seconds = spread([answer.seconds for answer in answers])
    site.row(f"50 chats at once, {SLOTS} slots", f"{counts}; {seconds}", counts == {"ok": 50})


async def begin(site: Site, **fields: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request for a long answer, and return once the model server works on it."""
    body = completions(1, max_tokens=1900, ignore_eos=True, **fields)[0]
    host, port = site.url.removeprefix("http://").split(":")
    busy = site.model.busy()
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    if fields.get("stream"):
        await reader.readuntil(b"data: ")
    while site.model.busy() == busy:
        await asyncio.sleep(0.02)
    return reader, writer


async def leaving(site: Site) -> None:
    """A caller who leaves frees the server's slot as well."""
    for what, stream in (("the caller of a stream leaves", True), ("the caller of a whole answer leaves", False)):
        _, writer = await begin(site, stream=stream)
        writer.close()
        freed = await site.model.idle_within(20)
        seen = "still at work after 20 s" if freed is None else f"the server stopped within {freed:.1f} s"
        site.row(what, seen, freed is not None and freed < 3)


async def leaving_beside_a_stream(site: Site, what: str = "the same beside a stream", *, must: bool = False) -> None:
    """While others' results come, llama.cpp looks after its streams only: shown, and judged where `must` is set."""
    reader, streaming = await begin(site, stream=True)
    drained = asyncio.create_task(reader.read(-1))
    _, writer = await begin(site, n=1)
    writer.close()
    began = time.monotonic()
    while site.model.busy() > 1 and time.monotonic() - began < 4:
        await asyncio.sleep(0.02)
    still = site.model.busy() > 1
    seen = "still at work after 4 s" if still else f"the server stopped within {time.monotonic() - began:.1f} s"
    site.row(what, seen, not (still and must))
    streaming.close()
    drained.cancel()
    await site.model.idle_within(20)


async def restart(site: Site) -> None:
    """The model server is killed under load and started again; nobody is left without an answer."""
    inside = [asyncio.create_task(one) for one in _callers(site, 20, "inside")]
    while not site.model.busy():
        await asyncio.sleep(0.02)
    site.model.kill()
    meanwhile = [asyncio.create_task(one) for one in _callers(site, 10, "meanwhile")]
    await asyncio.sleep(2)
    site.model.start_again()
    # What was sent may have been worked on, and is not sent a second time; nothing is sent to a server that is down.
    for what, tasks in (("20 in flight at a kill -9", inside), ("10 sent while the model is down", meanwhile)):
        answers = await asyncio.gather(*tasks)
        counts = tally(answers)
        known = {"ok", "upstream_unreachable", "upstream_error"}
        good = counts.keys() <= known and max(answer.seconds for answer in answers) < WAIT
        site.row(what, f"{counts}; {_seconds(answers)}", good)
    site.model.wait()
    end = time.monotonic() + 30
    while (answer := await site.ai("chat", f"Back at {time.monotonic()}?")).code != "ok" and time.monotonic() < end:
        await asyncio.sleep(0.2)
    late = time.monotonic() + 30 - end
    site.row("first good answer after the model is back", f"{answer.code}, {late:.1f} s later", late < 12)
    after = await burst(site.url, chats(20, size=140), within=0.1, timeout=WAIT)
    site.row("20 chats after it", f"{tally(after)}; {_seconds(after)}", tally(after) == {"ok": 20})


def _callers(site: Site, count: int, name: str) -> Iterator[Any]:
    return (site.ai("chat", f"{name} {n}: why does the sea not overflow?", user_id=n) for n in range(count))


def _seconds(answers: list[Answer]) -> str:
    return spread([answer.seconds for answer in answers])


async def drain(site: Site) -> None:
    """SIGTERM while the model works: what was accepted is answered."""
    tasks = [asyncio.create_task(one) for one in _callers(site, 10, "last")]
    while not site.model.busy():
        await asyncio.sleep(0.02)
    await asyncio.to_thread(site.sidecar.end)
    counts = tally(await asyncio.gather(*tasks))
    site.row("10 chats in flight, the sidecar gets SIGTERM", str(counts), counts == {"ok": 10})


SCENES: tuple[Callable[[Site], Any], ...] = (
    while_it_loads,
    chat,
    long_summary,
    stream,
    fifty,
    leaving,
    leaving_beside_a_stream,
    restart,
    drain,
)


@contextlib.asynccontextmanager
async def sidecar_before(model: Model, table: Table, **env: str) -> AsyncIterator[Site]:
    flags = ("--http-mode", "--port", "0", "--api-key", "sk-try", "--base-url", f"{model.url}/v1")
    more = ("--model", "local", "--max-tokens", "64", "--log-format", "json")
    sidecar = Process(sys.executable, "-m", "sidecar", *flags, *more, REQUEST_TIMEOUT=f"{WAIT - 5:g}", **env)
    try:
        yield Site(model, sidecar, table)
    finally:
        sidecar.end()


async def run(layers: int) -> int:
    table, model = Table(), Model(layers)
    try:
        async with asyncio.timeout(LONGEST):
            async with sidecar_before(model, table) as site:
                for scene in SCENES:
                    await scene(site)
            async with sidecar_before(model, table, EXTRA_BODY='{"stream": true}') as site:
                await leaving_beside_a_stream(site, 'the same with EXTRA_BODY={"stream": true}', must=True)
    finally:
        model.kill()
    return table.failed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=2, help="of the model's 30")
    flags = parser.parse_args()
    install()
    print(f"\nllama.cpp ({LOCK.name}), {SLOTS} slots of {CONTEXT} tokens; the sidecar before it")
    failed = asyncio.run(run(flags.layers))
    print(f"{failed} failed" if failed else "all hold")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
