"""Checks of the provider, step by step: name, connection, TLS, HTTP, key, model, and optionally a call."""

import asyncio
import difflib
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError, DeadlineExceeded, UpstreamFailure
from sidecar.core.ports import Call
from sidecar.doctor.findings import Finding
from sidecar.doctor.http_check import Response, read
from sidecar.provider.endpoint import Endpoint, endpoint
from sidecar.provider.proxy import Proxy, proxy_for, tls_context
from sidecar.provider.stdlib.client import LightUpstream
from sidecar.provider.stdlib.connect import dial
from sidecar.provider.stdlib.http1 import Headers, ProtocolError

if TYPE_CHECKING:
    import ssl

_DNS_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 15.0
_CALL: Final = Call(messages=[{"role": "user", "content": "Answer with the one word OK."}], max_tokens=200)
_BASE: Final = "OPENAI_BASE_URL is the API's address, which usually ends in /v1, and not that of a web site"
_KEY: Final = "check OPENAI_API_KEY, and that it belongs to OPENAI_BASE_URL"
_CURES: Final = {
    "upstream_auth": _KEY,
    "rate_limited": "check plan, billing and limits with the provider",
    "upstream_unreachable": "check OPENAI_BASE_URL, and HTTPS_PROXY where a proxy leads out",
    "timeout": "the provider is slow: try again, or take a faster OPENAI_MODEL",
    "empty_response": "a model that thinks long may need a larger MAX_TOKENS, or less effort by EXTRA_BODY",
}

_NO_LIST: Final = Finding(
    "model", "note", "the provider has no list of models, or OPENAI_BASE_URL is not an API's", "try --call"
)
_REFUSALS: Final = {
    401: Finding("key", "failed", "the provider refuses the key (401)", _KEY),
    403: Finding("key", "warning", "the provider does not show its models with this key (403)", "try --call"),
    **dict.fromkeys((404, 405, 501), _NO_LIST),
}
"""Finding by the status of GET /models."""


_IN_THE_FILE: Final = {
    "OPENAI_BASE_URL": "base_url",
    "OPENAI_API_KEY": "api_key_file",
    "OPENAI_MODEL": "model",
    "EXTRA_BODY": "extra_body",
}
"""Fields of PROVIDERS_FILE for the variables that remedies name."""


async def check(settings: Settings, *, call: bool) -> AsyncIterator[Finding]:
    """Check each provider without cost; with `call` also by a tiny question, which costs a few tokens."""
    if not settings.providers:
        async for finding in _check(settings, call=call):
            yield finding
    for provider in settings.providers:
        async for finding in _check(settings.at(provider), call=call):
            do = finding.do
            for variable, field in _IN_THE_FILE.items():
                do = do.replace(variable, field)
            yield Finding(f"{provider.name}: {finding.check}", finding.state, finding.what, do)


async def _check(settings: Settings, *, call: bool) -> AsyncIterator[Finding]:
    where = endpoint(settings.openai_base_url)
    try:
        proxy = proxy_for(where, settings.proxies)
        tls = tls_context(settings.ca_file) if where.secure else None
    except ConfigError as exc:
        for fault in exc.faults:
            yield Finding("provider", "failed", fault, "correct the variable")
        return
    yield Finding(
        "provider", "note", f"texts go to {where.authority}" + (f", by the proxy {proxy.name}" if proxy else "")
    )
    name = await _name(proxy.host if proxy else where.host)
    yield name
    if name.state == "failed":
        return
    try:
        response = await _models_answer(where, settings, proxy, tls)
    except UpstreamFailure as exc:
        yield Finding("connection", "failed", str(exc), _CURES["upstream_unreachable"])
        return
    if tls:
        yield Finding("connection", "ok", "TCP, and TLS with a trusted certificate")
    elif _is_local(where.host):
        yield Finding("connection", "ok", "TCP, without TLS, which on this machine or in its network may be well")
    else:
        yield Finding("connection", "warning", "TCP, without TLS: texts and key travel in the open", "use https://")
    if response is None:
        yield Finding("HTTP", "failed", f"{where.authority} gave no HTTP answer to GET /models", _BASE)
    else:
        yield _models(response, settings)
    if call:
        yield await _call(settings)


async def _models_answer(
    where: Endpoint, settings: Settings, proxy: Proxy | None, tls: "ssl.SSLContext | None"
) -> Response | None:
    """Return the response to GET /models, None where it is not HTTP; raise `UpstreamUnreachable` unless connected."""
    connection = await dial(where, proxy, tls)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            status, _ = await connection.request("GET", *_models_request(where, settings, None if tls else proxy))
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


def _is_local(host: str) -> bool:
    """Return True for this machine's addresses and for names without a dot, such as a container's."""
    return host.startswith("127.") or host == "::1" or not {".", ":"} & set(host)


def _models_request(where: Endpoint, settings: Settings, proxy: Proxy | None) -> tuple[str, Headers]:
    """Return target and headers of GET /models."""
    path, mark, query = where.target.partition("?")
    target = path.removesuffix("/chat/completions") + "/models" + mark + query
    headers = [("Host", where.authority)]
    if proxy and proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    if settings.openai_api_key:
        headers.append(("Authorization", f"Bearer {settings.openai_api_key}"))
    headers += [("User-Agent", f"openai-moodle-sidecar/{__version__}"), ("Accept", "application/json")]
    headers += [("Accept-Encoding", "identity"), ("Connection", "close")]
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


async def _call(settings: Settings) -> Finding:
    upstream = LightUpstream(settings)
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        answer = await upstream.complete(_CALL, deadline=started + settings.request_timeout)
    except (UpstreamFailure, DeadlineExceeded) as exc:
        return Finding("call", "failed", f"{exc.code}: {exc}", _CURES.get(exc.code, "docs/faults.md explains the code"))
    finally:
        await upstream.aclose()
    tokens = answer.prompt_tokens + answer.completion_tokens
    return Finding(
        "call", "ok", f"{answer.model or 'it'} answered in {loop.time() - started:.1f} s, for {tokens} tokens"
    )
