"""Certificates that the one-shot process's client trusts: the system's, found one by one or read as a whole."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from sidecar.core.errors import UpstreamUnreachable
from sidecar.provider.endpoint import endpoint
from sidecar.provider.stdlib.connect import connect
from sidecar.provider.stdlib.trust import Trust, has_hashes
from tests.support.scripted_provider import canned


class System:
    """A system's CAs, and a provider whose CA is among them."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.file = folder / "all.pem"
        authority.cert_pem.write_to_path(str(self.file))
        self.directory = folder / "certs"
        self.directory.mkdir()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.server)

    def hashed(self) -> None:
        """Put the CA into the directory, too."""
        shutil.copy(self.file, self.directory / "ca.pem")
        subprocess.run(["openssl", "rehash", self.directory], check=True)

    def trust(self, ca_file: str = "") -> Trust:
        return Trust(ca_file, directory=str(self.directory), file=str(self.file))


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


async def opened(url: str, trust: Trust) -> None:
    (await connect(endpoint(url), None, trust)).abort()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
async def test_a_ca_in_the_directory_is_found_alone(system: System) -> None:
    """The file of all CAs, which takes longer to read than a call takes, stays unread."""
    system.hashed()
    trust = system.trust()
    assert has_hashes(str(system.directory))
    async with canned(tls=system.server) as provider:
        await opened(provider.url, trust)
    assert not trust.whole


async def test_a_ca_of_the_file_alone_is_trusted(system: System) -> None:
    """Calls side by side that find it missing all come through, and later ones."""
    trust = system.trust()
    async with canned(tls=system.server) as provider:
        await asyncio.gather(*(opened(provider.url, trust) for _ in range(3)))
        assert trust.whole
        await opened(provider.url, trust)


async def test_an_unknown_ca_is_refused_with_all_of_them(system: System, tmp_path: Path) -> None:
    """The second try is the last."""
    (tmp_path / "other").mkdir()
    trust = System(tmp_path / "other").trust()
    async with canned(tls=system.server) as provider:
        with pytest.raises(UpstreamUnreachable, match="not trusted"):
            await opened(provider.url, trust)
    assert trust.whole


async def test_a_private_ca_stands_beside_the_directory(system: System, tmp_path: Path) -> None:
    """SSL_CERT_FILE adds to the system's CAs."""
    (tmp_path / "other").mkdir()
    trust = System(tmp_path / "other").trust(ca_file=str(system.file))
    async with canned(tls=system.server) as provider:
        await opened(provider.url, trust)
    assert not trust.whole


def test_a_directory_without_hashes_is_none(tmp_path: Path) -> None:
    """Some systems have other files there."""
    (tmp_path / "ca-bundle.crt").touch()
    (tmp_path / "12345678.r0").touch()
    assert not has_hashes(str(tmp_path))
    assert not has_hashes(str(tmp_path / "missing"))
    assert not has_hashes(None)
    (tmp_path / "5ed36f99.0").touch()
    assert has_hashes(str(tmp_path))
