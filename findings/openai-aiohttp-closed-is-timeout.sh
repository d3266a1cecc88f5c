#!/usr/bin/env bash
# openai 3.54.0 with DefaultAioHttpClient: a closed connection is a timeout.
#
# Guess:     a server that takes a request and closes the connection without an
#            answer is an APIConnectionError, with either of the SDK's clients.
# Behaviour: with the default client it is. With DefaultAioHttpClient it is an
#            APITimeoutError whose cause is a ConnectTimeout, as if the
#            connection had never been opened, within milliseconds.
# Matters:   a call that was never sent may be sent again for nothing; this one
#            may have been worked on, and paid for.
#
# Output seen:
#   default client: APIConnectionError, cause RemoteProtocolError
#   aiohttp client: APITimeoutError, cause ConnectTimeout
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.54.0 aiohttp==3.14.5

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys

import openai


async def close_unanswered(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split()[0])
    await reader.readexactly(size)
    writer.close()


async def call(url, http_client):
    async with openai.AsyncOpenAI(
        api_key="k", base_url=url, max_retries=0, timeout=30, http_client=http_client
    ) as client:
        try:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        except openai.APIConnectionError as exc:
            return f"{type(exc).__name__}, cause {type(exc.__cause__).__name__}"
    sys.exit("changed: no error")


async def main():
    server = await asyncio.start_server(close_unanswered, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    default = await call(url, None)
    aio = await call(url, openai.DefaultAioHttpClient())
    print("default client:", default)
    print("aiohttp client:", aio)
    if (default, aio) != (
        "APIConnectionError, cause RemoteProtocolError",
        "APITimeoutError, cause ConnectTimeout",
    ):
        sys.exit("changed")


asyncio.run(main())
PY
