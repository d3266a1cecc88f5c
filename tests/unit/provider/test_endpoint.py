"""Where calls go, and by which way."""

import base64

import pytest

from sidecar.core.errors import ConfigError
from sidecar.provider.endpoint import endpoint
from sidecar.provider.proxy import proxy_for


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.example", "https://api.example/chat/completions"),
        ("https://api.example/", "https://api.example/chat/completions"),
        ("https://api.example/v1", "https://api.example/v1/chat/completions"),
        ("https://api.example/v1//", "https://api.example/v1/chat/completions"),
        ("https://api.example/v1/chat/completions", "https://api.example/v1/chat/completions"),
        ("https://api.example/v1/chat/completions/", "https://api.example/v1/chat/completions"),
        ("http://h:8000/v1?api-version=1&k=a%2Fb", "http://h:8000/v1/chat/completions?api-version=1&k=a%2Fb"),
        ("http://h/v1/chat/completions?x=1", "http://h/v1/chat/completions?x=1"),
        ("http://anna:pass@h/v1", "http://h/v1/chat/completions"),
    ],
)
def test_a_base_url_may_end_in_any_usual_way(base: str, url: str) -> None:
    """CONTRACT: in `/`, in `/v1`, or already in `/chat/completions`; the query string is kept."""
    assert endpoint(base).url == url


def test_an_endpoint_knows_what_http_needs() -> None:
    """Host and port to connect to, the Host header, the request's target."""
    there = endpoint("https://[2001:DB8::1]:8443/v1?a=1")
    assert (there.host, there.port, there.secure) == ("2001:db8::1", 8443, True)
    assert (there.authority, there.target) == ("[2001:DB8::1]:8443", "/v1/chat/completions?a=1")
    assert endpoint("http://h").port == 80
    assert endpoint("https://h").port == 443


def test_the_proxy_of_the_scheme_comes_before_the_one_for_all() -> None:
    """As every tool reads these variables; an address without a scheme is http."""
    proxies = {"https": "secure.example:3128", "all": "http://all.example"}
    secure = proxy_for(endpoint("https://h"), proxies)
    plain = proxy_for(endpoint("http://h"), proxies)
    assert secure
    assert plain
    assert (secure.name, plain.name) == ("secure.example:3128", "all.example:80")
    assert proxy_for(endpoint("http://h"), {}) is None


def test_a_proxys_credentials_are_decoded_and_absent_from_its_names() -> None:
    """They travel in one header and are shown nowhere."""
    proxy = proxy_for(endpoint("http://h"), {"http": "http://anna:p%3Ass@[::1]:8080"})
    assert proxy
    assert base64.b64decode(proxy.authorization.removeprefix("Basic ")) == b"anna:p:ss"
    assert (proxy.url, proxy.name) == ("http://[::1]:8080", "[::1]:8080")


@pytest.mark.parametrize("address", ["socks5://h:1", "https://h", "http://", "http://h:x", "http://[::1"])
def test_a_proxy_of_an_unsupported_scheme_is_a_fault_of_configuration(address: str) -> None:
    """The line names the variable, and not the address, which may hold a password."""
    with pytest.raises(ConfigError, match="https_proxy") as caught:
        proxy_for(endpoint("https://provider.example"), {"https": address})
    assert "socks5" not in str(caught.value)


@pytest.mark.parametrize(
    ("no_proxy", "base", "direct"),
    [
        ("*", "http://h", True),
        ("h", "http://h", True),
        ("H.Example", "http://h.example", True),
        ("example", "http://h.example", True),
        (".example", "http://h.example", True),
        ("*.example", "http://h.example", True),
        ("ample", "http://h.example", False),
        ("other, h", "http://h", True),
        ("h:8000", "http://h:8000", True),
        ("h:8000", "http://h:9000", False),
        ("h:443", "https://h", True),
        ("127.0.0.1", "http://127.0.0.1:9", True),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://h", False),
        ("::1", "http://[::1]:9", True),
        ("[::1]:9", "http://[::1]:9", True),
        ("[::1]:8", "http://[::1]:9", False),
        (",, ,", "http://h", False),
        ("10.0.0.0/nonsense,:80,.", "http://h", False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(no_proxy: str, base: str, direct: bool) -> None:
    """As curl and Go's clients read it."""
    proxy = proxy_for(endpoint(base), {"all": "http://proxy.example", "no": no_proxy})
    assert (proxy is None) is direct


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('"http://user:canary@proxy.example:3128"', "without the quotes around it"),
        ("socks5://proxy.example:1080", "neither SOCKS nor TLS"),
        ("https://proxy.example:3128", "neither SOCKS nor TLS"),
        ("http://proxy.example:99999", "such as http://proxy.example:3128"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_under_its_own_name(text: str, advice: str) -> None:
    """`all_proxy` is not told as `http_proxy`, and a password is not shown."""
    with pytest.raises(ConfigError) as raised:
        proxy_for(endpoint("http://there.example"), {"all": text})
    [found] = raised.value.faults
    assert found.startswith("all_proxy: must be an http:// address")
    assert advice in found
    assert "canary" not in found
