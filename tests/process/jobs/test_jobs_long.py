"""A text of a million characters: worked off in parts, by a worker whose memory stays bounded."""

import re
from pathlib import Path

from sidecar.core.contract import Request
from tests.support.valkey import valkey
from tests.support.workers import counting_provider, ended, jobs_of, until, worker


def peak(pid: int) -> int:
    """The most MiB it ever held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


async def test_a_million_characters_are_summarized_in_bounded_memory() -> None:
    """Each part is asked once and its progress told; what the text costs the worker is a few times its size."""
    sentences = (
        f"Sentence {number} says that rivers run to the sea, Lecture{number % 9}x. " for number in range(18_000)
    )
    text = "".join(sentences)
    assert len(text) > 1_000_000
    async with valkey() as server, counting_provider() as provider, jobs_of(REDIS_URL=server.url) as store:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url, "REDIS_URL": server.url}
        async with worker(**env) as running:
            # The tokenizer is loaded once, and is not what a text costs.
            [small] = await store.enqueue([Request(action="summarize", content=text[500_000:600_000])])
            await until(store, [small.job_id], ended)
            before = peak(running.process.pid)
            [job] = await store.enqueue([Request(action="summarize", content=text)])
            [done] = await until(store, [job.job_id], ended)
            assert done is not None
            assert done.status == "complete", done
            assert done.parts_done == done.parts_total > 20
            assert peak(running.process.pid) - before < 64
    assert {count for prompt, count in provider.calls.items() if "Sentence" in prompt} == {1}
