"""Checks of the provider, step by step: name, connection, TLS, HTTP, key, model, and optionally a call."""

import asyncio
import difflib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from sidecar.config.settings import Settings
from sidecar.core import remedies
from sidecar.core.errors import ConfigError, DeadlineExceeded, UpstreamAuth, UpstreamFailure, in_file
from sidecar.core.ports import Call
from sidecar.doctor.findings import Finding
from sidecar.doctor.http_check import Response, read
from sidecar.provider.authentication import credentials_of
from sidecar.provider.base import fixed_headers
from sidecar.provider.endpoint import Endpoint, endpoint
from sidecar.provider.proxy import Proxy, proxy_for, tls_context
from sidecar.provider.stdlib.client import LightUpstream
from sidecar.provider.stdlib.connect import dial
from sidecar.provider.stdlib.http1 import Headers
from sidecar.provider.stdlib.http1_reader import ProtocolError

if TYPE_CHECKING:
    import ssl

_DNS_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 15.0
_CALL: Final = Call(messages=[{"role": "user", "content": "Answer with the one word OK."}], max_tokens=200)
_BASE: Final = "OPENAI_BASE_URL is the API's address, which usually ends in /v1, and not that of a web site"
_ENTRA: Final = (
    "give this machine a managed identity with the role Cognitive Services OpenAI User, or set AZURE_TENANT_ID, "
    "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the service's environment"
)
_SHOWN: Final = {
    "key": "a key",
    "key file": "a key from a file, which is read again when the file changes",
    "entra": "a token of Microsoft Entra ID",
}

_SIZES: Final = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Fields of a model's context in lists of vLLM, OpenRouter, Groq, Mistral and LM Studio."""
_NO_LIST: Final = Finding(
    "model", "note", "the provider has no list of models, or OPENAI_BASE_URL is not an API's", "try --call"
)
_REFUSALS: Final = {
    401: Finding("key", "failed", "the provider refuses the key (401)", remedies.KEY),
    403: Finding("key", "warning", "the provider does not show its models with this key (403)", "try --call"),
    **dict.fromkeys((404, 405, 501), _NO_LIST),
}
"""Finding by the status of GET /models."""


async def check(settings: Settings, *, call: bool) -> AsyncIterator[Finding]:
    """Check each provider without cost; with `call` also by a tiny question, which costs a few tokens."""
    if not settings.providers:
        async for finding in _check(settings, call=call):
            yield finding
    for provider in settings.providers:
        async for finding in _check(settings.at(provider), call=call):
            what, do = in_file(finding.what, provider.name), in_file(finding.do, provider.name)
            yield Finding(f"{provider.name}: {finding.check}", finding.state, what, do)


async def _check(settings: Settings, *, call: bool) -> AsyncIterator[Finding]:
    where = endpoint(settings.openai_base_url)
    try:
        proxy = proxy_for(where, settings.proxies)
        tls = tls_context(settings.ca_file) if where.secure else None
        credentials = credentials_of(settings, where)
    except ConfigError as exc:
        for fault in exc.faults:
            yield Finding("provider", "failed", fault, "correct the variable")
        return
    way = f"texts go to {where.authority}" + (f", by the proxy {proxy.name}" if proxy else "")
    yield Finding("provider", "note", f"{way}, with the client {settings.client} and {_SHOWN[settings.authentication]}")
    name = await _name(proxy.host if proxy else where.host)
    yield name
    if name.state == "failed":
        return
    try:
        own = fixed_headers(settings) | dict(await credentials.headers())
        response = await _models_answer(where, own, proxy, tls)
    except UpstreamAuth as exc:
        yield Finding("key", "failed", str(exc), _ENTRA)
        return
    except UpstreamFailure as exc:
        yield Finding("connection", "failed", str(exc), remedies.BY_CODE["upstream_unreachable"])
        return
    yield _connection(where)
    if response is None:
        yield Finding("HTTP", "failed", f"{where.authority} gave no HTTP answer to GET /models", _BASE)
    else:
        yield _models(response, settings)
        if (narrow := context(response.json, settings)) is not None:
            yield narrow
    if call:
        yield await _call(settings)


async def _models_answer(
    where: Endpoint, own: Mapping[str, str], proxy: Proxy | None, tls: "ssl.SSLContext | None"
) -> Response | None:
    """Return the response to GET /models, None where it is not HTTP; raise `UpstreamUnreachable` unless connected."""
    connection = await dial(where, proxy, tls)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            status, _ = await connection.request("GET", *_models_request(where, own, None if tls else proxy))
            return Response(status, await read(connection))
    except (OSError, EOFError, ProtocolError):
        return None
    finally:
        connection.abort()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round


async def _name(host: str) -> Finding:
    try:
        async with asyncio.timeout(_DNS_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return Finding(
            "name", "failed", f"no address is found for {host}", "check OPENAI_BASE_URL, and this machine's DNS"
        )
    addresses = sorted({str(address[0]) for _, _, _, _, address in found})
    return Finding("name", "ok", f"{host} is {', '.join(addresses[:4])}")


def _connection(where: Endpoint) -> Finding:
    if where.secure:
        return Finding("connection", "ok", "TCP, and TLS with a trusted certificate")
    if _is_local(where.host):
        return Finding("connection", "ok", "TCP, without TLS, which on this machine or in its network may be well")
    return Finding("connection", "warning", "TCP, without TLS: texts and key travel in the open", "use https://")


def _is_local(host: str) -> bool:
    """Return True for this machine's addresses and for names without a dot, such as a container's."""
    return host.startswith("127.") or host == "::1" or not {".", ":"} & set(host)


def _models_request(where: Endpoint, own: Mapping[str, str], proxy: Proxy | None) -> tuple[str, Headers]:
    """Return target and headers of GET /models."""
    path, mark, query = where.target.partition("?")
    target = path.removesuffix("/chat/completions") + "/models" + mark + query
    headers = [("Host", where.authority)]
    if proxy and proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    headers += [(name, value) for name, value in own.items() if name != "Content-Type"]
    headers += [("Accept", "application/json"), ("Connection", "close")]
    return f"http://{where.authority}{target}" if proxy else target, headers


def _models(response: Response, settings: Settings) -> Finding:
    status, model = response.status, settings.openai_model
    if status in _REFUSALS:
        return _REFUSALS[status]
    if status != 200:
        return Finding("model", "warning", f"GET /models was answered with {status}", "try again, or --call")
    entries: Any = response.json.get("data")
    if not isinstance(entries, list):
        return Finding("model", "warning", "what answers GET /models is no list of models, as an API's is", _BASE)
    known = sorted(
        {str(entry["id"]) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)}
    )
    if model in known:
        return Finding("model", "ok", f"{model} is one of the provider's {len(known)} models; the key was not refused")
    alike = ", ".join(difflib.get_close_matches(model, known, 3, 0.3) or known[:3])
    what = f"{model} is not among the provider's {len(known)} models" + (f"; it has {alike}" if alike else "")
    return Finding("model", "warning", what, "set OPENAI_MODEL, or see with --call whether it is known all the same")


def context(listed: Any, settings: Settings) -> Finding | None:
    """Return the finding that the list of models names a context smaller than CONTEXT_TOKENS; None for no such."""
    entries = listed.get("data") if isinstance(listed, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("id") == settings.openai_model:
            sizes = [size for name in _SIZES if type(size := entry.get(name)) is int and size > 0]
            if sizes and min(sizes) < settings.context_tokens:
                what = f"the model takes {min(sizes)} tokens, and CONTEXT_TOKENS is {settings.context_tokens}"
                return Finding("context", "warning", what, f"set CONTEXT_TOKENS={min(sizes)}")
    return None


async def _call(settings: Settings) -> Finding:
    upstream = LightUpstream(settings)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        answer = await upstream.complete(_CALL, deadline=started + settings.request_timeout)
    except (UpstreamFailure, DeadlineExceeded) as exc:
        return Finding(
            "call", "failed", f"{exc.code}: {exc}", remedies.BY_CODE.get(exc.code, "docs/faults.md explains the code")
        )
    finally:
        await upstream.aclose()
    if answer.lacks:
        return Finding("call", "failed", f"empty_response: {answer.lacks}", remedies.BY_CODE["empty_response"])
    tokens = answer.prompt_tokens + answer.completion_tokens
    said = f"{answer.model or 'it'} answered in {loop.time() - started:.1f} s, for {tokens} tokens"
    if learned := upstream.learned():
        said += f"; learned of its requests: {', '.join(learned)}"
    return Finding("call", "ok", said)
