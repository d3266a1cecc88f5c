"""300 users of one token over its limit: refused at the door, and nobody else waits for them."""

import asyncio
from pathlib import Path

from tests.support.limited_sidecar import limited, token_table


async def test_a_token_over_its_limit_takes_nothing_from_another(tmp_path: Path) -> None:
    """No place, no byte of a body and no slot; `benchmarks/bench_user_limits.py` prints the times."""
    tables = token_table("physics", "requests_per_minute = 5"), token_table("chemistry")
    async with limited(tmp_path, *tables, CONCURRENCY="2", QUEUE_SIZE="25") as site:
        upstream, admission = site.sidecar.upstream, site.sidecar.service.admission
        assert all([(await site.ask(user=str(n), token="physics")).json["success"] for n in range(5)])
        upstream.gate.clear()
        others = [asyncio.create_task(site.ask(user=f"c{n}", text=f"c{n}", token="chemistry")) for n in range(20)]
        while admission.held < 20:  # noqa: ASYNC110 - the wire says nothing of it
            await asyncio.sleep(0)
        refused = await asyncio.gather(*(site.ask(user=str(n), token="physics") for n in range(300)))
        assert {answer.json["code"] for answer in refused} == {"limited"}
        assert {answer.headers["retry-after"] for answer in refused} == {"60"}
        assert (admission.held, site.sidecar.service.kernel.calls.gate.waiting) == (20, 18)
        assert len(site.quotas.counters) <= 2
        upstream.gate.set()
        assert [(await other).json["success"] for other in others] == [True] * 20
        assert [call.messages[-1]["content"] for call in upstream.calls[5:]] == [f"c{n}" for n in range(20)]
