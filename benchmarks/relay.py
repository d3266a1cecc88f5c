"""The baseline: aiohttp in, a bounded number of aiohttp calls out, without fairness, deadlines or a cache.

Usage: relay.py UPSTREAM SLOTS; prints its address on stdout.
"""

import asyncio
import json
import sys

import aiohttp
import uvloop
from aiohttp import web


async def main(upstream: str, slots: int) -> None:
    gate = asyncio.Semaphore(slots)
    connector = aiohttp.TCPConnector(limit=slots)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def answer(request: web.Request) -> web.Response:
            chat = json.loads(await request.read())
            body = {"model": "demo", "max_tokens": 1000, "messages": [{"role": "user", "content": chat["content"]}]}
            async with gate, session.post(f"{upstream}/v1/chat/completions", json=body) as response:
                completion = json.loads(await response.read())
            text = completion["choices"][0]["message"]["content"] if response.status == 200 else None
            return web.json_response({"success": text is not None, "data": text})

        async def stream(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            headers = {"Content-Type": "application/json"}
            async with gate, session.post(f"{upstream}/v1/chat/completions", data=body, headers=headers) as response:
                relayed = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
                await relayed.prepare(request)
                async for chunk in response.content.iter_any():
                    await relayed.write(chunk)
                await relayed.write_eof()
            return relayed

        app = web.Application()
        app.router.add_post("/ai", answer)
        app.router.add_post("/v1/chat/completions", stream)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        host, port = runner.addresses[0][:2]
        print(f"http://{host}:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
