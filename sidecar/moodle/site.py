"""A Moodle on this machine: its folders, and the users who own them."""

import os
import pwd
import re
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.moodle.errors import MoodleError

_DATA_FOLDER: Final = re.compile(r"""^\s*\$CFG->dataroot\s*=\s*(['"])(/[^'"$]+)\1""", re.MULTILINE)
_LONGEST: Final = 2**20
_NAME_USER: Final = "name the web server's user with --php-user=www-data"


class User(NamedTuple):
    """User and groups that a program runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


class Site(NamedTuple):
    """Folders of a Moodle."""

    root: Path
    """Folder of config.php."""
    code: Path
    """Folder of Moodle's pages: `root`, or `root/public` from Moodle 5.1 on."""

    @property
    def plugin(self) -> Path:
        """Folder of the sidecar's plugin, which may be missing."""
        return self.code / "ai/provider/sidecar"

    @property
    def upgrade(self) -> Path:
        """Moodle's own program that installs plugins."""
        return self.root / "admin/cli/upgrade.php"


def find_site(path: str) -> Site:
    """Return the Moodle at `path`, which is the folder of config.php, or `public` in it. Raises `MoodleError`."""
    given = Path(os.path.abspath(path))  # noqa: PTH100 - the links of the path stay, as an administrator wrote it
    for root in (given.parent, given) if given.name == "public" else (given,):
        if not (root / "config.php").is_file():
            continue
        code = root / "public" if (root / "public/version.php").is_file() else root
        if (code / "lib/setup.php").is_file():
            return Site(root, code)
    if (given / "config-dist.php").is_file():
        raise MoodleError(f"{given} is a Moodle without a config.php", "install Moodle first")
    raise MoodleError(f"there is no Moodle in {given}", "name the folder that holds Moodle's config.php")


def php_user(site: Site, name: str = "") -> User | None:
    """Return the user who runs Moodle's PHP; None for the user of this process. Raises `MoodleError`.

    Only root chooses: the user `name`, else the owner of Moodle's data folder, else that of config.php. Root itself
    must be named, since files that root leaves in the data folder break the web server's next page.
    """
    if os.geteuid() != 0:
        if name and _named(name).uid != os.geteuid():
            raise MoodleError(f"only root can run Moodle's PHP as {name}", "run this as root")
        return None
    if name:
        return _named(name)
    owners = (_owner(path) for path in (_data_folder(site), site.root / "config.php") if path is not None)
    if found := next((user for user in owners if user is not None and user.uid != 0), None):
        return found
    raise MoodleError("Moodle's data folder and config.php belong to root, so PHP's user is unknown", _NAME_USER)


def folder_user(folder: Path) -> User | None:
    """Return the owner of `folder`, who may write there; None for the user of this process."""
    if os.geteuid() != 0:
        return None
    found = _owner(folder)
    return None if found is None or found.uid == 0 else found


def _named(name: str) -> User:
    try:
        return _user(pwd.getpwnam(name))
    except KeyError:
        raise MoodleError(f"there is no user {name} here", _NAME_USER) from None


def _owner(path: Path) -> User | None:
    try:
        return _user(pwd.getpwuid(path.stat().st_uid))
    except (OSError, KeyError):
        return None


def _user(entry: pwd.struct_passwd) -> User:
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))


def _data_folder(site: Site) -> Path | None:
    """Return the data folder that config.php names in plain text; running config.php as root would trust its owner."""
    try:
        with (site.root / "config.php").open(encoding="utf-8", errors="replace") as file:
            found = _DATA_FOLDER.search(file.read(_LONGEST))
    except OSError:
        return None
    return Path(found[2]) if found else None
