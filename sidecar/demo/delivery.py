"""Delivery of an answer: whole, streamed, dripping, cut or spoilt. Only the writing is here."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from aiohttp import web

from sidecar.demo import codec, errors
from sidecar.demo.call import Call
from sidecar.demo.options import Options
from sidecar.demo.outcome import Fate

Ending: TypeAlias = tuple[str, web.StreamResponse]
"""The outcome's name and the response."""
_SSE: Final = "text/event-stream; charset=utf-8"


async def deliver(
    request: web.BaseRequest, call: Call, fate: Fate, reply: codec.Reply, headers: dict[str, str]
) -> Ending:
    """Send the answer the way `fate` says; a returned response that is not prepared yet is left to aiohttp to send."""
    if fate.cut == "before":
        return _close(request)
    if fate.garbage == "huge":
        return await _huge(request, call, headers)
    spoilt = codec.whole_body(fate.garbage)
    if call.body.stream and spoilt is None:
        return await _stream(request, call, fate, reply, headers)
    kind, body = spoilt or ("application/json", _completion(fate, reply))
    if fate.cut:
        return await _cut(request, call, body, headers, half=fate.cut == "body")
    if call.options.drip:
        return await _drip(request, call, body, headers)
    outcome = "garbage" if fate.garbage else "answered"
    return outcome, whole((kind, body), headers)


def _completion(fate: Fate, reply: codec.Reply) -> bytes:
    completion = codec.completion(reply)
    return codec.garbled(fate.garbage, completion, "message") if fate.garbage else msgspec.json.encode(completion)


def whole(content: tuple[str, bytes], headers: Mapping[str, str], *, status: int = 200) -> web.Response:
    """Return a response with its body in one piece; `content` is the content type and the body."""
    return web.Response(body=content[1], status=status, content_type=content[0], headers=headers)


def refused(
    refusal: errors.Refusal, options: Options | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error as a response; with `options` the response says when to come back."""
    again = errors.retry_after(refusal, options, time.time()) if options else {}
    usual = {} if refusal.nameless else headers or {}
    return whole(refusal.body(), {**usual, **refusal.headers, **again}, status=refusal.status)


async def _stream(
    request: web.BaseRequest, call: Call, fate: Fate, reply: codec.Reply, headers: dict[str, str]
) -> Ending:
    options = call.options
    usage = call.body.stream_options is not None and bool(call.body.stream_options.include_usage)
    events = list(codec.events(reply, usage=usage, garbage=fate.garbage))
    cut = fate.cut or ("body" if options.stream_cut else None)
    if cut:
        events = events[: len(events) // 2] if cut == "body" else []
    response = await _begin(request, call, {**headers, "Content-Type": _SSE, "Cache-Control": "no-cache"})
    for number, event in enumerate(events):
        if options.stream_chunk_delay and number:
            await asyncio.sleep(options.stream_chunk_delay)
        if options.drip:
            await _dripping(response, event, options.drip)
        else:
            await response.write(event)
    if cut:
        return _close(request)
    await response.write_eof()
    return "garbage" if fate.garbage else "answered", response


async def _huge(request: web.BaseRequest, call: Call, headers: dict[str, str]) -> Ending:
    response = await _begin(request, call, {**headers, "Content-Type": "application/json"})
    await response.write(b'{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"')
    for _ in range(codec.HUGE_BYTES // len(codec.BLOCK)):
        await response.write(codec.BLOCK)
    await response.write_eof()
    return "garbage", response


async def _cut(request: web.BaseRequest, call: Call, body: bytes, headers: dict[str, str], *, half: bool) -> Ending:
    response = await _begin(request, call, {**headers, "Content-Type": "application/json"}, size=len(body))
    if half:
        await response.write(body[: len(body) // 2])
    return _close(request)


async def _drip(request: web.BaseRequest, call: Call, body: bytes, headers: dict[str, str]) -> Ending:
    response = await _begin(request, call, {**headers, "Content-Type": "application/json"}, size=len(body))
    await _dripping(response, body, call.options.drip)
    await response.write_eof()
    return "answered", response


async def _dripping(response: web.StreamResponse, content: bytes, pause: float) -> None:
    for place in range(len(content)):
        await response.write(content[place : place + 1])
        await asyncio.sleep(pause)


async def _begin(
    request: web.BaseRequest, call: Call, headers: dict[str, str], *, size: int | None = None
) -> web.StreamResponse:
    if call.options.distance:
        await asyncio.sleep(call.options.distance)
    response = web.StreamResponse(headers=headers)
    response.content_length = size  # without one the body goes out in chunks
    await response.prepare(request)
    return response


def _close(request: web.BaseRequest) -> Ending:
    """Close after the bytes already written; aiohttp gets a response that it cannot send any more."""
    if request.transport is not None:
        request.transport.close()
    return "cut", web.Response()
