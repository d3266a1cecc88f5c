"""Callers of every kind at every address: patient, leaving, slow, wrong. Each returns what it got, in a word."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tests.support.soak.wire import Address, LostError, Reply, Wire, post, request

MARK: Final = "zqmark"
"""In each name that a caller makes up: a metric's label with it would be a series a caller."""
TOKENS: Final = {name: f"canary-soak-token-{name}" for name in ("open", "narrow")}
TROUBLES: Final = (
    *[""] * 12,
    "latency=0.3",
    "status=503 fail_first=1",
    "status=500",
    "status=400",
    "status=429",
    "cut=before",
    "cut=headers",
    "cut=body",
    "garbage=truncated",
    "garbage=html",
    "garbage=nocontent",
    "stall=1",
    "stream_cut=true",
    "stream_chunk_delay=0.2",
)
V1: Final = "/v1/chat/completions"
GONE: Final = "left"


class Site(NamedTuple):
    """One caller's view: the server, its own dice, and its number."""

    address: Address
    dice: random.Random
    number: int

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {TOKENS['narrow' if self.dice.random() < 0.15 else 'open']}"

    @property
    def headers(self) -> tuple[str, ...]:
        return self.bearer, f"X-Request-ID: {MARK}{self.number}", "Connection: close"

    @property
    def user(self) -> str:
        """One of two hundred users, or now and then a name that nobody had before."""
        return f"{MARK}{self.number}" if self.dice.random() < 0.2 else f"u{self.number % 200}"

    @property
    def text(self) -> str:
        trouble = self.dice.choice(TROUBLES)
        page = self.number if self.dice.random() < 0.7 else self.number % 20
        return f"Page {page} is about rivers and the sea." + (f" [demo {trouble}]" if trouble else "")

    def job(self, **fields: object) -> dict[str, object]:
        """Return a request of the shape of /ai."""
        action = self.dice.choice(["chat", "chat", "summarize", "analyze"])
        long = " A river runs to the sea." * self.dice.choice([0, 0, 0, 100, 1000])
        return {"action": action, "content": self.text, "context": long, "user_id": self.user} | fields

    def completion(self, *, stream: bool = False) -> dict[str, object]:
        messages = [{"role": "user", "content": self.text}]
        return {"model": f"{MARK}{self.number}", "messages": messages, "user": self.user, "stream": stream}

    async def pause(self, most: float) -> None:
        await asyncio.sleep(self.dice.uniform(0, most))


async def ai(site: Site) -> str:
    return (await site.address.fetch(post("/ai", site.job(), *site.headers))).code


async def ai_long(site: Site) -> str:
    """Send a text that runs as a job while the caller waits."""
    text = f"Lecture {site.number % 40}. " + "Rivers run to the sea, and the sea is not full. " * 80
    return (await site.address.fetch(post("/ai", site.job(action="summarize", content=text), *site.headers))).code


async def kept_connection(site: Site) -> str:
    codes = []
    async with site.address.connected() as wire:
        for _ in range(site.dice.randint(2, 5)):
            await wire.send(post("/ai", site.job(), site.bearer))
            codes.append((await wire.reply()).code)
            await site.pause(0.2)
    return "ok" if "ok" in codes else codes[-1]


async def whole(site: Site) -> str:
    path = V1 + site.dice.choice(["", "?action=summarize", f"?action={MARK}{site.number}", "?deadline=0.2"])
    return (await site.address.fetch(post(path, site.completion(), *site.headers))).code


async def stream(site: Site) -> str:
    async with site.address.connected() as wire:
        await wire.send(post(V1, site.completion(stream=True), *site.headers))
        reply = await wire.reply()
    if reply.status != 200 or b"data: " not in reply.body:
        return reply.code
    return "ok" if b"data: [DONE]" in reply.body else "error event"


async def stream_left(site: Site) -> str:
    """Read a little of a stream, or nothing, and leave."""
    async with site.address.connected() as wire:
        await wire.send(post(V1, site.completion(stream=True), *site.headers))
        if site.dice.random() < 0.5:
            await wire.reader.read(200)
        await site.pause(0.5)
        wire.abort()
    return GONE


async def left(site: Site) -> str:
    raw = site.dice.choice([post("/ai", site.job(), *site.headers), post(V1, site.completion(), *site.headers)])
    async with site.address.connected() as wire:
        await wire.send(raw)
        await site.pause(0.4)
        wire.abort()
    return GONE


async def slow(site: Site) -> str:
    """Send a body in pieces, to its end or not."""
    raw = post("/ai", site.job(), *site.headers)
    async with site.address.connected() as wire:
        for start in range(0, len(raw), len(raw) // 4 + 1):
            await wire.send(raw[start : start + len(raw) // 4 + 1])
            await site.pause(0.3)
            if site.dice.random() < 0.1:
                wire.abort()
                return GONE
        return (await wire.reply()).code


async def silent(site: Site) -> str:
    """Send half of the headers, or nothing, and wait for a while."""
    async with site.address.connected() as wire:
        await wire.send(site.dice.choice([b"", b"POST /ai HTTP/1.1\r\nHost: x\r\n"]))
        await site.pause(3)
    return GONE


async def wrong(site: Site) -> str:
    """Send what cannot be right; any refusal in a shape of ours will do."""
    name, good = f"{MARK}{site.number}", json.dumps(site.job()).encode()
    headers = site.headers
    reply = await site.address.fetch(
        site.dice.choice(
            [
                post("/ai", good[:-9], *headers),
                post("/ai", site.job(action=name), *headers),
                post("/ai", {"action": "chat"}, *headers),
                post("/ai", b"\xff\xfe", *headers),
                post(V1, {"messages": name}, *headers),
                post(V1, site.completion(), f"Authorization: Bearer {name}", "Connection: close"),
                post(f"/{name}", site.job(), *headers),
                post(f"/v1/{name}", site.job(), *headers),
                post("/ai", site.job(), *headers).replace(b"application/json", name.encode()),
                request(name.upper(), "/ai", *headers),
                request("POST", "/ai", "Content-Length: 99999999", "Content-Type: application/json", *headers),
                request("POST", "/ai", "Content-Length: x", *headers),
                name.encode() + b"\r\n\r\n",
                request("GET", "/ai", f"X-Long: {'x' * 20_000}"),
            ]
        )
    )
    return reply.code


async def jobs(site: Site) -> str:
    """Enqueue one or several jobs, look, and cancel one now and then."""
    entries = [site.job(content=f"{site.text} Part {n}.") for n in range(site.dice.choice([1, 1, 3]))]
    reply = await site.address.fetch(post("/jobs", {"jobs": entries}, *site.headers))
    if reply.status != 202:
        return reply.code
    ids = [job["job_id"] for job in json.loads(reply.body)["jobs"]]
    await site.pause(1)
    await _good(site.address.fetch(post("/jobs/status", {"job_ids": ids}, *site.headers)))
    await _good(site.address.get(f"/jobs/{ids[0]}", site.bearer))
    if site.dice.random() < 0.3:
        await _good(site.address.fetch(request("DELETE", f"/jobs/{ids[0]}", *site.headers)))
    return "ok"


async def _good(coming: Awaitable[Reply]) -> None:
    reply = await coming
    if reply.status not in {200, 404, 429, 503}:
        raise LostError(f"status {reply.status}")


async def operator(site: Site) -> str:
    """Look at what operators look at."""
    for path in ("/status", "/health", "/ready", "/openapi.json", "/v1/models", "/dashboard"):
        if (reply := await site.address.get(path, site.bearer)).status not in {200, 503}:
            raise LostError(f"{path} has status {reply.status}")
    scraped = await site.address.get("/metrics?exemplars=true", "Accept: application/openmetrics-text")
    if not scraped.body.endswith(b"# EOF\n"):
        raise LostError(f"/metrics has status {scraped.status}")
    return "ok"


async def page(site: Site) -> str:
    """Open a dashboard, read its events for a while, and leave; or read nothing."""
    async with site.address.connected() as wire:
        await wire.send(request("GET", "/dashboard/events"))
        if site.dice.random() < 0.8:
            await _read_for(wire, site.dice.uniform(0, 4))
        else:
            await site.pause(4)
        if site.dice.random() < 0.5:
            wire.abort()
    return GONE


async def _read_for(wire: Wire, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while await wire.reader.read(65_536):
                pass
    except TimeoutError:
        return


KINDS: Final[dict[Callable[[Site], Awaitable[str]], int]] = {
    ai: 30,
    ai_long: 2,
    kept_connection: 8,
    whole: 14,
    stream: 10,
    stream_left: 5,
    left: 8,
    slow: 5,
    silent: 2,
    wrong: 12,
    jobs: 4,
    operator: 2,
    page: 2,
}
"""Each kind with its weight."""
