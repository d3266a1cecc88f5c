"""Promises of finding a Moodle and the user who runs its PHP."""

import os
import pwd
from pathlib import Path

import pytest

from sidecar.moodle.errors import MoodleError
from sidecar.moodle.site import Site, find_site, php_user

ME = pwd.getpwuid(os.geteuid()).pw_name


def made(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("<?php\n")
    return folder


def test_both_layouts_are_found(tmp_path: Path) -> None:
    """Before 5.1 all in one folder; since then pages in `public`, which an administrator may name as well."""
    old = made(tmp_path / "old", "config.php", "version.php", "lib/setup.php")
    new = made(tmp_path / "new", "config.php", "public/version.php", "public/lib/setup.php", "public/config.php")
    assert find_site(str(old)) == Site(old, old)
    assert find_site(str(new)) == find_site(str(new / "public")) == Site(new, new / "public")
    assert find_site(str(new)).plugin == new / "public/ai/provider/sidecar"
    assert find_site(str(old)).upgrade == old / "admin/cli/upgrade.php"


@pytest.mark.parametrize(("files", "says"), [((), "no Moodle"), (("config-dist.php",), "without a config.php")])
def test_another_folder_is_refused(tmp_path: Path, files: tuple[str, ...], says: str) -> None:
    """The sentence says which folder to name."""
    with pytest.raises(MoodleError, match=says):
        find_site(str(made(tmp_path, *files)))


def test_root_never_runs_phps_code_unless_it_is_named(tmp_path: Path) -> None:
    """The owner of the data folder does, else that of config.php; any other user runs it as itself."""
    site = find_site(str(made(tmp_path, "config.php", "lib/setup.php")))
    if os.geteuid() != 0:
        assert php_user(site) is php_user(site, ME) is None
        with pytest.raises(MoodleError, match="only root"):
            php_user(site, "root")
        return
    with pytest.raises(MoodleError, match="belong to root"):
        php_user(site)
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path / "config.php", nobody.pw_uid, nobody.pw_gid)
    assert (found := php_user(site)) is not None
    assert found.name == "nobody"
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", pwd.getpwnam("daemon").pw_uid, -1)
    (tmp_path / "config.php").write_text(f"<?php\n$CFG->dataroot  = '{tmp_path}/data';\n")
    assert (found := php_user(site)) is not None
    assert found.name == "daemon"
    assert (found := php_user(site, "root")) is not None
    assert found.uid == 0


def test_a_user_who_does_not_exist_is_said(tmp_path: Path) -> None:
    """A typing mistake runs nothing."""
    site = find_site(str(made(tmp_path, "config.php", "lib/setup.php")))
    with pytest.raises(MoodleError, match="no user nobody-at-all"):
        php_user(site, "nobody-at-all")
