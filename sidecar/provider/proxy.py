"""Route to the provider: the proxy, and the certificates that are trusted.

All values come from the settings. Faults are `ConfigError`s, since only an administrator can mend them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from sidecar.core.errors import ConfigError, plain
from sidecar.provider.endpoint import Endpoint

if TYPE_CHECKING:
    import ssl


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy."""

    host: str
    port: int
    authorization: str
    """The value of Proxy-Authorization; blank without credentials."""

    @property
    def url(self) -> str:
        """Return the proxy's address without credentials."""
        return f"http://{self.name}"

    @property
    def name(self) -> str:
        """Return host and port, as sentences may show them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def proxy_for(endpoint: Endpoint, proxies: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for calls to `endpoint` by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, or None.

    Raises `ConfigError` for any but an `http://` address: SOCKS and TLS to a proxy are unsupported.
    """
    scheme = "https" if endpoint.secure else "http"
    source = scheme if proxies.get(scheme) else "all"
    text = proxies.get(source)
    if not text or _bypassed(endpoint, proxies.get("no", "")):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http":
        raise ConfigError([f"{source}_proxy: must be an http:// address, such as {_wanted(text)}"])
    authorization = ""
    if parts.username is not None:
        import base64  # noqa: PLC0415 - as below

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(host, port, authorization)


def _wanted(text: str) -> str:
    """Return an example, with what is wrong with `text`."""
    example = "http://proxy.example:3128"
    if text[:1] in {'"', "'"}:
        return f"{example}, written without the quotes around it"
    if text.lower().startswith(("socks", "https:")):
        return f"{example}; the sidecar speaks neither SOCKS nor TLS to a proxy"
    return example


def _bypassed(endpoint: Endpoint, no_proxy: str) -> bool:
    """Return whether `no_proxy` names the endpoint: `*`, a host, a domain and all below, or a network; ports count.

    The rules are those of curl and Go's clients; urllib is heavy to import and lacks networks.
    """
    host = endpoint.host.lower().rstrip(".")
    for entry in no_proxy.lower().split(","):
        name, colon, port = entry.strip().rpartition(":")
        if not (colon and port.isdigit() and ("]" in name or ":" not in name)):
            name, port = entry.strip(), str(endpoint.port)
        name = name.strip("[]").removeprefix("*.").strip(".")
        if (
            port == str(endpoint.port)
            and name
            and (name in ("*", host) or host.endswith(f".{name}") or _in(host, name))
        ):
            return True
    return False


def _in(host: str, network: str) -> bool:
    import ipaddress  # noqa: PLC0415 - rarely needed, and the one-shot process pays for each import

    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def tls_context(ca_file: str) -> "ssl.SSLContext":
    """Return a context that trusts the system's CAs and those in `ca_file`.

    Raises `ConfigError` for an unusable file.
    """
    import ssl  # noqa: PLC0415 - needed for TLS only

    context = ssl.create_default_context()
    if ca_file:
        from pathlib import Path  # noqa: PLC0415 - as above

        paths = ssl.get_default_verify_paths()
        # OpenSSL reads SSL_CERT_FILE instead of the system's file; a private CA must be added to that file's CAs.
        if paths.cafile != paths.openssl_cafile and Path(paths.openssl_cafile).is_file():
            trust(context, paths.openssl_cafile)
        trust(context, ca_file)
    return context


def trust(context: "ssl.SSLContext", ca_file: str) -> None:
    """Have `context` trust the CAs in the file, too. Raises `ConfigError` for an unusable file."""
    import ssl  # noqa: PLC0415 - as above

    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as exc:
        reason = "it holds no certificates" if isinstance(exc, ssl.SSLError) else exc.strerror
        raise ConfigError([f"SSL_CERT_FILE={plain(ca_file, 200)}: cannot be used ({reason})"]) from exc
