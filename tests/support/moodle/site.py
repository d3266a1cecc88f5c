"""A Moodle installed for the tests: a copy of MOODLE_DIR, its database and its web server. No promises here.

The installation takes minutes, so each state of the site that tests begin with is stored once, and restored.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.moodle.database import USER, Cluster
from tests.support.moodle.programs import copy, free_port, give, program, run
from tests.support.moodle.web import Web
from tests.support.paths import ROOT

MOODLE_DIR: Final = os.environ.get("MOODLE_DIR", "")
PASSWORD: Final = "A-password-of-1-pupil"
_ORDERS: Final = ROOT / "tests/php/real_moodle.php"
_CACHES: Final = ("cache", "temp", "trashdir", "lock")
"""Folders of Moodle's data that hold what the database says."""


class Made(msgspec.Struct):
    """What stays of a site between runs, beside its files."""

    web_port: int
    database_port: int
    provider_port: int
    sidecar_port: int
    config: str = ""
    """The file config.php as the installation wrote it."""
    course: int = 0
    pages: list[dict[str, int]] = []
    """Ids of each page's `module` and `context`."""
    people: list[tuple[dict[str, str], str]] = []
    """Cookies and key of everybody who is logged in."""


class Site:
    """One site; the live database is `moodle`, next to those of the stored states."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = folder / "moodle"
        self._file = folder / "made.json"
        self.is_made = self._file.exists()
        self.made = (
            msgspec.json.decode(self._file.read_bytes(), type=Made)
            if self.is_made
            else Made(free_port(), free_port(), free_port(), free_port())
        )
        if not self.is_made:
            self._copy()
        self.public = self.code / "public" if (self.code / "public").is_dir() else self.code
        self.plugin = self.public / "ai/provider/sidecar"
        self.database = Cluster(folder / "database", self.made.database_port)
        self.web = Web(folder / "web", self.public, self.made.web_port)
        self._php = program("php")
        self._orders = folder / "orders.php"
        shutil.copy(_ORDERS, self._orders)
        give(self._orders)

    def _copy(self) -> None:
        assert not (Path(MOODLE_DIR) / "config.php").exists(), "MOODLE_DIR is a site; it must be a folder to install"
        for name in ("data", "database", "web"):
            (self.folder / name).mkdir()
        copy(Path(MOODLE_DIR), self.code)
        give(self.folder)
        self.folder.chmod(0o755)

    def install(self) -> None:
        """Install Moodle by its command line, as an administrator would."""
        self.database.create("moodle")
        self.php(
            *(self.code / "admin/cli/install.php", "--non-interactive", "--agree-license", "--allow-unstable"),
            *(f"--wwwroot={self.web.url}", f"--dataroot={self.folder}/data", "--chmod=2777"),
            *("--dbtype=pgsql", "--dbhost=127.0.0.1", f"--dbport={self.database.port}", f"--dbuser={USER}"),
            *("--dbpass=none", "--dbname=moodle", "--fullname=School", "--shortname=school"),
            *(f"--adminpass={PASSWORD}", "--adminemail=admin@example.org"),
        )
        self.made.config = (self.code / "config.php").read_text("utf-8")
        self.configure()
        self.php(self.code / "admin/cli/build_theme_css.php", "--themes=boost", "--direction=ltr")

    def seed(self, people: int, texts: list[str]) -> None:
        """Add people, and a course with a page for each text."""
        made = self.order("seed", people=people, pages=texts, password=PASSWORD)
        self.made.pages, self.made.course = made["pages"], made["course"]

    def finish(self) -> None:
        """Store the site as made, for this run's tests and for the next run in the same folder."""
        self.store("plain")
        self._file.write_bytes(msgspec.json.encode(self.made))

    def configure(self, **named: object) -> None:
        """Write config.php as installed, with further settings of `$CFG`."""
        lines = [f"$CFG->{name} = {json.dumps(value)};" for name, value in {"noemailever": True, **named}.items()]
        head, mark, tail = self.made.config.partition("require_once(")
        (self.code / "config.php").write_text(head + "\n".join(lines) + "\n" + mark + tail, "utf-8")

    def php(self, *words: str | Path, text: str = "") -> str:
        """Return what a PHP program printed, run as an administrator runs one."""
        return run(self._php, "-d", "max_input_vars=5000", *words, folder=self.folder, text=text)

    def order(self, name: str, **given: object) -> Any:
        """Return the result of one order of tests/php/real_moodle.php."""
        return json.loads(self.php(self._orders, self.code / "config.php", name, text=json.dumps(given)))

    def settings(self, *names: str) -> str:
        """Return rows of Moodle's configuration."""
        listed = ", ".join(f"'{name}'" for name in names)
        order = f"SELECT name, value FROM mdl_config WHERE name IN ({listed}) ORDER BY name"
        return self.database.query(order, database="moodle")

    @property
    def branch(self) -> int:
        """The version as Moodle numbers it: 405 for 4.5, 501 for 5.1."""
        found = re.search(r"\$branch\s*=\s*'(\d+)'", (self.public / "version.php").read_text("utf-8"))
        assert found
        return int(found[1])

    def store(self, state: str) -> None:
        """Store the site as `state`: its database, and whether the plugin is in its place."""
        self.web.stop()
        self.database.create(f"state_{state}", template="moodle")
        stored = self.folder / f"plugin-{state}"
        shutil.rmtree(stored, ignore_errors=True)  # that of an earlier run, perhaps of another version
        if self.plugin.exists():
            copy(self.plugin, stored)

    def restore(self, state: str) -> None:
        """Return the site to a stored state, with its web server running; people stay logged in."""
        self.web.stop()
        self.database.create("moodle", template=f"state_{state}")
        shutil.rmtree(self.plugin, ignore_errors=True)
        if (self.folder / f"plugin-{state}").exists():
            copy(self.folder / f"plugin-{state}", self.plugin)
        for name in _CACHES:
            shutil.rmtree(self.folder / "data" / name, ignore_errors=True)
        self.configure()
        self.web.start()
        self.web.complaints()

    def stop(self) -> None:
        self.web.stop()
        self.database.stop()
