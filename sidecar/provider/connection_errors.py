"""Table theirs → ours for failed connections: the error, whether a retry is free, and the sentence for people.

The table holds exceptions of the standard library only; adapters pass their library's with the cause attached. Of an
address a sentence names only the provider's or proxy's host.
"""

import socket
from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.core.errors import UpstreamError, UpstreamFailure, UpstreamUnreachable

CONNECT_SECONDS = 5.0
"""Seconds that opening a connection may take, name lookup and TLS included."""


def not_connected(exc: BaseException, host: str, *, proxy: bool = False) -> UpstreamUnreachable:
    """Return the error for a connection to `host` that could not be opened: a retry is free, since no byte was sent."""
    peer = f"the proxy {host}" if proxy else host
    check = (
        "the administrator should check the proxy variables"
        if proxy
        else "the administrator should check OPENAI_BASE_URL"
    )
    causes = list(_chain(exc))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return UpstreamUnreachable(f"The name of {peer} cannot be found (DNS); {check}.", retryable=True, unsent=True)
    names = _classes(causes)
    if _UNVERIFIED & names:
        return UpstreamUnreachable(
            f"The certificate of {peer} is not trusted; "
            "the administrator should check the address, or name the private CA in SSL_CERT_FILE.",
            unsent=True,
        )
    if "SSLError" in names:
        return UpstreamUnreachable(
            f"No secure connection (TLS) to {peer} came about; {check}.", retryable=True, unsent=True
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        sentence = f"The AI provider cannot be reached: {peer} refuses connections."
        return UpstreamUnreachable(sentence, retryable=True, unsent=True)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        sentence = f"The AI provider cannot be reached: {peer} does not answer within {CONNECT_SECONDS:.0f} seconds."
        # The system has sent for the connection three times by then: one more try, not the whole deadline.
        return UpstreamUnreachable(sentence, retryable=True, once=True, unsent=True)
    sentence = f"The AI provider cannot be reached: no connection to {peer}."
    return UpstreamUnreachable(sentence, retryable=True, unsent=True)


_UNVERIFIED: Final = frozenset({"SSLCertVerificationError", "CertificateError"})


def unverified(exc: BaseException) -> bool:
    """Return whether a certificate that is not trusted is behind the failure."""
    return bool(_UNVERIFIED & _classes(_chain(exc)))


def _classes(causes: Iterable[BaseException]) -> set[str]:
    # By name, since the ssl module is not loaded for http://.
    return {base.__name__ for cause in causes for base in type(cause).__mro__}


def proxy_refused(status: int, host: str) -> UpstreamUnreachable:
    """Return the error for a tunnel that the proxy `host` refused: the provider got no byte."""
    if status == 407:
        return UpstreamUnreachable(
            f"The proxy {host} wants other credentials; the administrator should check its address.", unsent=True
        )
    sentence = f"The proxy {host} refused the connection ({status})."
    return UpstreamUnreachable(sentence, retryable=status >= 500, unsent=True)


STALE_SECONDS = 0.5
"""Seconds from a request within which a kept connection that the provider had closed shows its end: a round trip and
some slack. A connection that ends later ended while the provider worked."""


def no_answer(host: str, *, reused: bool, waited: float) -> UpstreamUnreachable:
    """Return the error for a connection that ended before the answer's first byte, `waited` seconds after the request.

    On a reused connection that ends at once a retry is free: the provider most likely closed the idle connection just
    before the request. In any other case the provider may have worked on the call, and a retry could be paid twice.
    """
    stale = reused and waited < STALE_SECONDS
    sentence = f"The AI provider {host} closed the connection without an answer."
    return UpstreamUnreachable(sentence, retryable=stale, once=stale)


def cut() -> UpstreamError:
    """Return the error for a connection that ended in the middle of an answer, which may have been paid for."""
    return UpstreamError("The AI provider cut the connection in the middle of its answer.")


def broken_off() -> UpstreamError:
    """Return the error for an answer that is no HTTP from its middle on, which may have been paid for."""
    return UpstreamError("The AI provider's answer broke off in its middle: what followed is not HTTP.")


def not_http(host: str) -> UpstreamFailure:
    """Return the error for an answer that is no HTTP."""
    return UpstreamError(
        f"{host} does not speak HTTP as a provider should; the administrator should check OPENAI_BASE_URL."
    )


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        for name in ("os_error", "certificate_error"):  # attributes in which aiohttp holds the operating system's error
            if isinstance(inner := getattr(exc, name, None), BaseException):
                yield inner
        exc = exc.__cause__ or exc.__context__
