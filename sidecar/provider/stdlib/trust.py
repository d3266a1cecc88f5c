"""Certificates that the light client trusts: the system's CAs, found one by one, and those of SSL_CERT_FILE.

To read the system's file of all CAs takes more CPU than the rest of a call. Most systems have each CA in a directory
too, under a hash of its name, where OpenSSL finds it during a handshake. The file is read where that was not enough.
"""

import contextlib
import os
import ssl
from typing import Final

from sidecar.provider.proxy import tls_context, trust

_NAME: Final = frozenset("0123456789abcdef")
_HASH_SIGNS: Final = 8
"""Hexadecimal signs of a CA's name in the directory, before `.0` (openssl-rehash(1))."""


def system_directory() -> str | None:
    """Return the system's directory of CAs by hash; None where there is none, or where the environment names others."""
    paths = ssl.get_default_verify_paths()
    return paths.capath if _same(paths.capath, paths.openssl_capath) and has_hashes(paths.capath) else None


def _same(one: str | None, other: str | None) -> bool:
    try:
        return bool(one and other and os.path.samefile(one, other))
    except OSError:
        return False


def has_hashes(directory: str | None) -> bool:
    """Return whether OpenSSL finds CAs in the directory."""
    try:
        names = os.listdir(directory) if directory else []
    except OSError:
        return False
    return any(len(name) == _HASH_SIGNS + 2 and name[-2:] == ".0" and _NAME.issuperset(name[:-2]) for name in names)


class Trust:
    """A context for TLS, and whether it has all CAs yet.

    Raises `ConfigError` for a `ca_file` that cannot be used.
    """

    def __init__(self, ca_file: str, *, directory: str | None = None, file: str | None = None) -> None:
        """`directory` and `file` of the system's CAs are found where neither is given."""
        if directory is None and file is None:
            directory, file = system_directory(), ssl.get_default_verify_paths().openssl_cafile
        self._file = file
        self.whole = directory is None
        """True once the context has what `tls_context` gives."""
        if directory is None:
            self.context = tls_context(ca_file)
            return
        self.context = ssl.create_default_context(capath=directory)
        if ca_file and not _same(ca_file, file):
            trust(self.context, ca_file)

    def complete(self) -> None:
        """Trust the CAs of the system's file too, if there is one."""
        if not self.whole and self._file:
            with contextlib.suppress(OSError):  # ssl.SSLError is one too
                self.context.load_verify_locations(self._file)
        self.whole = True
