"""Table theirs → ours for connections that failed: which error, whether another try is free, and what to tell people.

Knows exceptions of the standard library only; adapters hand in their library's with the cause attached. A sentence
names the provider's or proxy's host and nothing else of an address.
"""

import socket
from collections.abc import Iterator

from sidecar.core.errors import UpstreamError, UpstreamFailure, UpstreamUnreachable

CONNECT_SECONDS = 5.0
"""The most seconds that opening a connection may take, names and TLS included."""


def not_connected(exc: BaseException, host: str, *, proxy: bool = False) -> UpstreamUnreachable:
    """No connection came about, so nothing was sent: another attempt costs nothing. `host` is whom we called."""
    who = f"the proxy {host}" if proxy else host
    check = (
        "the administrator should check the proxy variables"
        if proxy
        else "the administrator should check OPENAI_BASE_URL"
    )
    causes = list(_chain(exc))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return UpstreamUnreachable(f"The name of {who} cannot be found (DNS); {check}.", retryable=True)
    names = {base.__name__ for cause in causes for base in type(cause).__mro__}  # the ssl module is not loaded for http
    if "SSLCertVerificationError" in names or "CertificateError" in names:
        return UpstreamUnreachable(
            f"The certificate of {who} is not trusted; "
            "the administrator should check the address, or name the private CA in SSL_CERT_FILE."
        )
    if "SSLError" in names:
        return UpstreamUnreachable(f"No secure connection (TLS) to {who} came about; {check}.", retryable=True)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return UpstreamUnreachable(f"The AI provider cannot be reached: {who} refuses connections.", retryable=True)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        sentence = f"The AI provider cannot be reached: {who} does not answer within {CONNECT_SECONDS:.0f} seconds."
        return UpstreamUnreachable(sentence, retryable=True)
    return UpstreamUnreachable(f"The AI provider cannot be reached: no connection to {who}.", retryable=True)


def proxy_refused(status: int, host: str) -> UpstreamUnreachable:
    """The proxy `host` did not open the tunnel; nothing was sent to the provider."""
    if status == 407:
        return UpstreamUnreachable(
            f"The proxy {host} wants other credentials; the administrator should check its address."
        )
    return UpstreamUnreachable(f"The proxy {host} refused the connection ({status}).", retryable=status >= 500)


def no_answer(host: str, *, reused: bool) -> UpstreamUnreachable:
    """The connection ended before the answer's first byte.

    On a kept connection the provider most likely closed it just before we asked, so asking again is free, once; on a
    fresh one it may have begun to work.
    """
    sentence = f"The AI provider {host} closed the connection without an answer."
    return UpstreamUnreachable(sentence, retryable=reused, once=reused)


def cut() -> UpstreamError:
    """The connection ended in the middle of an answer, which may have been paid for."""
    return UpstreamError("The AI provider cut the connection in the middle of its answer.")


def not_http(host: str) -> UpstreamFailure:
    """What came is no HTTP."""
    return UpstreamError(
        f"{host} does not speak HTTP as a provider should; the administrator should check OPENAI_BASE_URL."
    )


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        for name in ("os_error", "certificate_error"):  # where aiohttp keeps the operating system's own words
            if isinstance(inner := getattr(exc, name, None), BaseException):
                yield inner
        exc = exc.__cause__ or exc.__context__
