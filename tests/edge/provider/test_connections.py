"""What every client promises about connections: refused, lost, secured, and led through proxies."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sidecar.core.errors import ConfigError, UpstreamError, UpstreamUnreachable
from tests.support.ports import free_port
from tests.support.scripted_provider import (
    Adapter,
    CannedProvider,
    ReceivedRequest,
    canned,
    completed,
    every_adapter,
    failing,
    http,
    listening,
    opened,
    settings_of,
)

pytestmark = every_adapter


class Authority:
    """A private CA: what its provider shows, and the file that makes callers trust it."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        ca.cert_pem.write_to_path(self.file)
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1", "provider.invalid").configure_cert(self.server)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Proxy:
    """A proxy that answers plain requests itself and leads every tunnel to one port of this machine."""

    def __init__(self, port: int = 0, *, refuses: bytes = b"") -> None:
        self.url = ""
        self.received: list[ReceivedRequest] = []
        self._port = port
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard = ReceivedRequest(await reader.readuntil(b"\r\n\r\n"), b"", 1)
            self.received.append(heard)
            if self._refuses:
                writer.write(self._refuses)
            elif heard.line.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                await self._lead(reader, writer)
            else:
                await reader.readexactly(int(heard.headers["content-length"]))
                writer.write(http(Connection="close"))
            await writer.drain()
        finally:
            writer.transport.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass(reader, back))
            group.create_task(_pass(there, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.close()


@contextlib.asynccontextmanager
async def proxying(port: int = 0, *, refuses: bytes = b"") -> AsyncIterator[Proxy]:
    proxy = Proxy(port, refuses=refuses)
    async with listening(proxy.serve) as server:
        proxy.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy


async def test_chunks_interim_answers_and_odd_headers_are_read(adapter: Adapter) -> None:
    """103 Early Hints, chunks with extensions, trailers, and a header of 10 KiB are all HTTP/1.1."""
    body = http().partition(b"\r\n\r\n")[2]
    chunks = b"%x;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-Policy: %s\r\n\r\n" % (b"p" * 10_240)
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with canned(early + head + chunks) as provider, opened(adapter, provider.url) as upstream:
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream)).text == "Hello."
        assert provider.connections == 1


async def test_a_dead_port_is_named_and_free_to_retry(adapter: Adapter) -> None:
    """The sentence says who refuses."""
    port = free_port()
    async with opened(adapter, f"http://127.0.0.1:{port}/v1") as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, True)
    assert f"127.0.0.1:{port} refuses connections" in str(failure)


async def test_a_name_that_does_not_exist_is_named(adapter: Adapter) -> None:
    """DNS is told from a refused connection, and no more than the host is shown."""
    async with opened(adapter, "http://nonexistent.invalid/v1?key=geheim") as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, True)
    assert "nonexistent.invalid cannot be found (DNS)" in str(failure)
    assert "geheim" not in str(failure)


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x50" + b"\r\n" * 3])
async def test_something_that_is_no_http_is_named(adapter: Adapter, noise: bytes) -> None:
    """A wrong port in OPENAI_BASE_URL shows as such."""
    async with canned(noise) as provider, opened(adapter, provider.url) as upstream:
        failure = await failing(upstream)
    assert type(failure) is UpstreamError
    assert "OPENAI_BASE_URL" in str(failure)


async def test_an_unknown_certificate_is_named(adapter: Adapter, authority: Authority) -> None:
    """The sentence names the setting for a private CA, and trying again is pointless."""
    async with canned(tls=authority.server) as provider, opened(adapter, provider.url) as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, False)
    assert "SSL_CERT_FILE" in str(failure)


async def test_tls_to_a_plain_port_is_named(adapter: Adapter) -> None:
    """https where http is spoken is no mystery either."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with listening(plain) as server:
        port = server.sockets[0].getsockname()[1]
        async with opened(adapter, f"https://127.0.0.1:{port}") as upstream:
            failure = await failing(upstream)
    assert type(failure) is UpstreamUnreachable
    assert "(TLS)" in str(failure)


async def test_a_private_ca_is_trusted(adapter: Adapter, authority: Authority) -> None:
    """SSL_CERT_FILE adds to the system's CAs, over kept connections too."""
    trusting = {"SSL_CERT_FILE": authority.file}
    async with canned(tls=authority.server) as provider, opened(adapter, provider.url, **trusting) as upstream:
        assert (await completed(upstream)).text == "Hello."
        assert (await completed(upstream)).text == "Hello."
        assert provider.connections == 1


async def test_a_ca_file_that_cannot_be_used_stops_the_start(adapter: Adapter, tmp_path: Path) -> None:
    """The fault names the variable, and shows before anybody asks."""
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
            adapter(settings_of("https://127.0.0.1/v1", SSL_CERT_FILE=str(path)))


async def test_plain_calls_go_through_a_proxy_whole(adapter: Adapter) -> None:
    """Absolute address, query string, and the credentials of the proxy's address, decoded."""
    async with proxying() as proxy:
        named = {"http_proxy": f"http://anna:p%40ss@{proxy.url}"}
        async with opened(adapter, "http://provider.invalid:81/v1?v=1", **named) as upstream:
            assert (await completed(upstream)).text == "Hello."
    [heard] = proxy.received
    assert heard.line == "POST http://provider.invalid:81/v1/chat/completions?v=1 HTTP/1.1"
    assert heard.headers["host"] == "provider.invalid:81"
    assert heard.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"anna:p@ss").decode()


async def test_secure_calls_go_through_a_tunnel(adapter: Adapter, authority: Authority) -> None:
    """The proxy learns the provider's name and port and nothing else; TLS is with the provider, and is kept."""
    async with canned(tls=authority.server) as provider, proxying(provider.port) as proxy:
        named = {"HTTPS_PROXY": f"http://anna:pass@{proxy.url}", "SSL_CERT_FILE": authority.file}
        async with opened(adapter, "https://provider.invalid/v1", **named) as upstream:
            assert (await completed(upstream)).text == "Hello."
            assert (await completed(upstream)).text == "Hello."
    [heard] = proxy.received
    assert heard.line == "CONNECT provider.invalid:443 HTTP/1.1"
    assert heard.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"anna:pass").decode()
    assert "authorization" not in heard.headers
    assert "proxy-authorization" not in provider.received[0].headers
    assert provider.received[0].line == "POST /v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize(("status", "retryable"), [(407, False), (403, False), (502, True)])
async def test_a_proxy_that_refuses_the_tunnel_is_named(adapter: Adapter, status: int, retryable: bool) -> None:
    """The administrator learns that it is the proxy, not the provider; nothing was sent."""
    async with proxying(refuses=http(b"no", status)) as proxy:
        named = {"https_proxy": f"http://anna:geheim@{proxy.url}"}
        async with opened(adapter, "https://provider.invalid/v1", **named) as upstream:
            failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, retryable)
    assert f"proxy {proxy.url}" in str(failure)
    assert "geheim" not in str(failure)


async def test_a_dead_proxy_is_named(adapter: Adapter) -> None:
    """A wrong proxy variable does not look like a provider that is down."""
    port = free_port()
    async with opened(adapter, "http://provider.invalid/v1", http_proxy=f"127.0.0.1:{port}") as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamUnreachable, True)
    assert f"proxy 127.0.0.1:{port} refuses" in str(failure)


async def test_no_proxy_is_respected(adapter: Adapter) -> None:
    """A host it names is called directly."""
    async with canned() as provider, proxying() as proxy:
        named = {"ALL_PROXY": f"http://{proxy.url}", "NO_PROXY": "localhost, 127.0.0.1"}
        async with opened(adapter, provider.url, **named) as upstream:
            await completed(upstream)
    assert provider.received
    assert not proxy.received


async def test_proxy_variables_of_this_process_are_not_read(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only settings read the environment, so that the env file counts and nothing counts twice."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "x-nonsense: nonsense")
    async with canned() as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
    _only_ours(provider)


def _only_ours(provider: CannedProvider) -> None:
    [heard] = provider.received
    assert "nonsense" not in str(heard.headers)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "https://127.0.0.1", "http://", "http://a:b:c"])
async def test_a_proxy_that_is_not_spoken_stops_the_start(adapter: Adapter, proxy: str) -> None:
    """Better a line at the start than texts that go another way than meant."""
    with pytest.raises(ConfigError, match="http_proxy"):
        adapter(settings_of("http://provider.invalid", http_proxy=proxy))
    with pytest.raises(ConfigError, match=r"^all_proxy"):
        adapter(settings_of("http://provider.invalid", all_proxy=proxy))
