"""The plugin to install, from a folder or a zip: its version, and a copy that PHP's user can read."""

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from sidecar.moodle.errors import MoodleError
from sidecar.moodle.facts import PLUGIN

MOST_FILES: Final = 1000
MOST_BYTES: Final = 16 * 2**20
"""Bounds of a plugin; the shipped one has some 50 files in 300 kB."""
_VERSION: Final = re.compile(r"^\s*\$plugin->version\s*=\s*(\d{10})", re.MULTILINE)
_COMPONENT: Final = re.compile(rf"""^\s*\$plugin->component\s*=\s*['"]{PLUGIN}['"]""", re.MULTILINE)
_MAKE: Final = "make moodle-plugin builds the zip, and moodle/aiprovider_sidecar of a checkout is the folder"


class Plugin(NamedTuple):
    """A plugin's files by their path, and its version."""

    files: dict[str, bytes]
    version: str

    @property
    def digest(self) -> str:
        """Hash of all files."""
        whole = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            whole.update(f"{name}\0{len(content)}\0".encode())
            whole.update(content)
        return whole.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the files into `folder`, readable for every user."""
        folder.mkdir(mode=0o755)
        for name, content in self.files.items():
            path = folder / name
            for parent in reversed(path.relative_to(folder).parents[:-1]):
                (folder / parent).mkdir(mode=0o755, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o644)


def read_plugin(source: Path) -> Plugin:
    """Return the plugin in a folder or zip. Raises `MoodleError` for another one, and for one out of bounds."""
    try:
        files = dict(_from_folder(source) if source.is_dir() else _from_zip(source))
    except OSError as exc:
        raise MoodleError(f"{source} cannot be read ({exc.strerror})", _MAKE) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, NotImplementedError, RuntimeError, EOFError):
        raise MoodleError(f"{source} is no zip that can be read", _MAKE) from None
    text = files.get("version.php", b"").decode("utf-8", "replace")
    version = _VERSION.search(text)
    if version is None or not _COMPONENT.search(text):
        raise MoodleError(f"{source} is not the plugin {PLUGIN}", _MAKE)
    return Plugin(files, version[1])


def installed_plugin(folder: Path) -> Plugin | None:
    """Return the plugin in a Moodle's folder; None where there is none. Raises `MoodleError`."""
    return read_plugin(folder) if folder.is_dir() else None


def _from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    size = 0
    for count, path in enumerate(sorted(folder.rglob("*"))):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        _bound(count, size, folder)
        yield name.as_posix(), path.read_bytes()


def _from_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what is under the one root folder; the sizes in a zip may lie, so reading is bounded too."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _bound(len(entries), sum(entry.file_size for entry in entries), path)
        for entry in entries:
            name = PurePosixPath(entry.filename)
            plain = name.parts[1:] and not name.is_absolute() and ".." not in name.parts and "\\" not in entry.filename
            if not plain or name.parts[0] != "sidecar" or stat.S_ISLNK(entry.external_attr >> 16):
                raise MoodleError(f"{path} has an entry outside of its folder sidecar", _MAKE)
            with archive.open(entry) as file:
                content = file.read(entry.file_size + 1)
            yield str(PurePosixPath(*name.parts[1:])), content[: entry.file_size]


def _bound(files: int, size: int, source: Path) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise MoodleError(f"{source} is larger than a plugin ({MOST_FILES} files, {MOST_BYTES // 2**20} MiB)", _MAKE)
