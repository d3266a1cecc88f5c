"""Promises of the plugin's source: a folder or a zip, nothing outside of it, and nothing without bounds."""

import contextlib
import stat
import zipfile
from pathlib import Path

import pytest

from scripts.moodle_plugin import pack
from sidecar.moodle import plugin
from sidecar.moodle.errors import MoodleError
from sidecar.moodle.plugin import read_plugin
from sidecar.moodle.program import PLUGIN_FOLDER, in_checkout

VERSION = "<?php\n$plugin->component = 'aiprovider_sidecar';\n$plugin->version = 2026112900;\n"


def packed(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_zip_and_folder_are_the_same_plugin(tmp_path: Path) -> None:
    """The same files by the same names, and so the same digest; what begins with a dot is no part of it."""
    zipped = read_plugin(packed(tmp_path / "p.zip", **{"sidecar/version.php": VERSION, "sidecar/lang/en/a.php": "a"}))
    (tmp_path / "p/lang/en").mkdir(parents=True)
    (tmp_path / "p/version.php").write_text(VERSION)
    (tmp_path / "p/lang/en/a.php").write_text("a")
    (tmp_path / "p/.git").mkdir()
    (tmp_path / "p/.git/config").write_text("secret")
    folder = read_plugin(tmp_path / "p")
    assert folder == zipped
    assert (folder.version, folder.digest) == ("2026112900", zipped.digest)


def test_the_shipped_folder_is_the_shipped_zip(tmp_path: Path) -> None:
    """An install from either is the same, so that the other one finds nothing to change."""
    folder = in_checkout(PLUGIN_FOLDER)
    assert folder is not None
    assert read_plugin(folder).digest == read_plugin(pack(tmp_path)).digest


def test_a_copy_can_be_read_by_every_user(tmp_path: Path) -> None:
    """PHP's user copies it on."""
    source = packed(tmp_path / "p.zip", **{"sidecar/version.php": VERSION, "sidecar/db/b/c.php": "c"})
    read_plugin(source).write(tmp_path / "copy")
    assert read_plugin(tmp_path / "copy") == read_plugin(source)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").rglob("*.php")}
    assert modes == {0o644}


@pytest.mark.parametrize(
    "name", ["sidecar/../../etc/cron.d/x", "/etc/x", "other/version.php", "version.php", "sidecar\\..\\x"]
)
def test_an_entry_outside_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing of such a zip is used."""
    with pytest.raises(MoodleError, match="outside"):
        read_plugin(packed(tmp_path / "p.zip", **{"sidecar/version.php": VERSION, name: "x"}))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    """It could lead anywhere."""
    entry = zipfile.ZipInfo("sidecar/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(MoodleError, match="outside"):
        read_plugin(tmp_path / "p.zip")


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip that unpacks to more than a plugin, and a folder that holds more."""
    monkeypatch.setattr(plugin, "MOST_BYTES", 1000)
    (tmp_path / "p").mkdir()
    (tmp_path / "p/version.php").write_text(VERSION + " " * 1000)
    for source in (packed(tmp_path / "p.zip", **{"sidecar/version.php": VERSION + " " * 1000}), tmp_path / "p"):
        with pytest.raises(MoodleError, match="larger than a plugin"):
            read_plugin(source)


@pytest.mark.parametrize("text", ["", "<?php\n$plugin->component = 'mod_quiz';\n$plugin->version = 2026112900;\n"])
def test_another_plugin_is_refused(tmp_path: Path, text: str) -> None:
    """And so is a file that is no zip, and one that is not there."""
    (tmp_path / "text.zip").write_text("no zip")
    sources = [
        packed(tmp_path / "p.zip", **{"sidecar/version.php": text}),
        tmp_path / "text.zip",
        tmp_path / "none.zip",
    ]
    for source in sources:
        with pytest.raises(MoodleError):
            read_plugin(source)


def test_a_zip_that_is_broken_inside_is_named(tmp_path: Path) -> None:
    """Each byte of its packed content in turn."""
    path = packed(tmp_path / "p.zip", **{"sidecar/version.php": VERSION})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sidecar/version.php", VERSION * 20)
    whole = path.read_bytes()
    for at in range(whole.index(b"PK\x01\x02")):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(MoodleError):
            read_plugin(path)
