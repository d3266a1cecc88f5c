"""What callers hear of a gateway behind which no model server is at work."""

import asyncio
import json

from sidecar.http.server.server import serve
from sidecar.http.server.timings import Timings
from sidecar.provider.aiohttp.client import AiohttpUpstream
from sidecar.service import service_of
from tests.support.corpus import FOLDER
from tests.support.event_streams import chat_request
from tests.support.http_sidecar import CHAT, PATIENCE, Caller, post
from tests.support.scripted_provider import canned, http, opened, settings_of


async def test_a_gateway_without_workers_is_told_alike_on_every_route() -> None:
    """SGLang's router opens its circuit for a minute: one code, one sentence, and a Retry-After that says the same."""
    body = (FOLDER / "gateway-no-workers.http").read_bytes().partition(b"\n\n")[2]
    async with canned(http(body, 503)) as provider, opened(AiohttpUpstream, provider.url) as upstream:
        settings = settings_of(provider.url, PORT="0", REQUEST_TIMEOUT="1")
        async with serve(
            service_of(settings, upstream), settings, timings=Timings(linger_seconds=PATIENCE)
        ) as listening:

            async def told(request: bytes) -> tuple[str, str, str]:
                async with await Caller.connect(listening.host, listening.port) as caller:
                    await caller.send(request)
                    head, _, answer = (await caller.rest()).partition(b"\r\n\r\n")
                waits = [line[13:] for line in head.decode().split("\r\n") if line.startswith("Retry-After: ")]
                reply = json.loads(answer)
                error = reply if "success" in reply else reply["error"]
                return str(error["code"]), error.get("message") or error["error"], *waits

            end = "Connection: close"
            heard = await asyncio.gather(
                told(post(CHAT, end)), told(chat_request(end)), told(chat_request(end, stream=True))
            )
    sentence = "The AI provider's gateway has no server at work (503). Please try again in a minute."
    assert set(heard) == {("upstream_error", sentence, "60")}
