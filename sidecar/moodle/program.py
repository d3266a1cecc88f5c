"""The PHP program deploy/moodle-setup.php: found in the checkout, staged where every user can read it, and run."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.config.load import environment_without_settings
from sidecar.moodle.errors import MoodleError
from sidecar.moodle.facts import Reply
from sidecar.moodle.site import Site, User

SCRIPT: Final = "deploy/moodle-setup.php"
PLUGIN_FOLDER: Final = "moodle/aiprovider_sidecar"
_MARK: Final = b"\x1e"
_SECONDS: Final = 120.0
"""For one step of the program; the slowest, uninstalling a plugin, takes three seconds."""
_UPGRADE_SECONDS: Final = 900.0
_OPTIONS: Final = ("-d", "max_input_vars=5000", "-d", "display_errors=stderr", "-d", "memory_limit=512M")
"""Moodle's upgrade wants 5,000; PHP's command line has 1,000 by default."""
_TAIL: Final = 400
_SHARED: Final = "/tmp"  # noqa: S108 - the folder made in it has a random name and is its maker's


class Program(NamedTuple):
    """The program for one Moodle."""

    site: Site
    php: str
    user: User | None
    """User who runs Moodle's code; None for the user of this process."""
    stage: Path
    """Folder that every user can read, with a copy of the program."""

    def call(self, do: str, **request: Any) -> Reply:
        """Run one step of the program inside Moodle. Raises `MoodleError`."""
        return self._call(self.user, {"do": do, "root": str(self.site.root), **request})

    def move(self, user: User | None, do: str, **request: str) -> None:
        """Run one step on Moodle's files as `user`, without Moodle. Raises `MoodleError`."""
        self._call(user, {"do": do, **request})

    def upgrade(self) -> None:
        """Run Moodle's own upgrade. Raises `MoodleError`."""
        code, out, err = self._run(self.user, (str(self.site.upgrade), "--non-interactive"), b"", _UPGRADE_SECONDS)
        if code != 0:
            raise MoodleError(f"Moodle's upgrade failed: {_tail(err) or _tail(out)}", f"see why: {self._by_hand()}")

    def _by_hand(self) -> str:
        who = f"runuser -u {self.user.name} -- " if self.user else ""
        return f"{who}php {self.site.upgrade}"

    def _call(self, user: User | None, request: dict[str, Any]) -> Reply:
        code, out, err = self._run(user, (str(self.stage / Path(SCRIPT).name),), msgspec.json.encode(request), _SECONDS)
        line = next((line for line in out.splitlines() if line.startswith(_MARK)), None)
        if line is None:
            said = _tail(err) or _tail(out) or f"exit code {code}"
            raise MoodleError(f"Moodle's PHP gave no answer: {said}", f"see why: {self._by_hand()} --help")
        try:
            reply = msgspec.json.decode(line[1:], type=Reply)
        except msgspec.DecodeError as exc:
            raise MoodleError(f"Moodle's PHP gave an unknown answer ({exc})") from None
        if reply.error:
            raise MoodleError(reply.error)
        return reply

    def _run(self, user: User | None, words: tuple[str, ...], text: bytes, seconds: float) -> tuple[int, bytes, bytes]:
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
        try:
            done = subprocess.run(  # noqa: S603 - no shell; the words are ours
                (self.php, *_OPTIONS, *words),
                input=text,
                capture_output=True,
                cwd=self.stage,
                # Neither key nor token: any program of that user can read its environment.
                env=environment_without_settings(),
                timeout=seconds,
                check=False,
                umask=0o022,
                **identity,
            )
        except subprocess.TimeoutExpired:
            raise MoodleError(f"Moodle's PHP was not done after {seconds:.0f} seconds") from None
        except OSError as exc:
            raise MoodleError(f"{self.php} cannot be started ({exc.strerror})", "name PHP with --php=PATH") from None
        return done.returncode, done.stdout, done.stderr


@contextmanager
def staged(site: Site, user: User | None, php: str = "") -> Iterator[Program]:
    """Open the program for `site`; the folder that it uses is removed at the end. Raises `MoodleError`."""
    found = shutil.which(php or "php")
    if found is None:
        raise MoodleError(f"there is no {php or 'php'} here", "install PHP's command line, or name it with --php=PATH")
    script = in_checkout(SCRIPT)
    if script is None:
        what = f"this install has no {SCRIPT}, which comes with a checkout only"
        raise MoodleError(what, "run the command of a checkout: ./start-server.sh --version makes it")
    # Root's own folder for temporary files may be closed to PHP's user, as with pam_tmpdir.
    place = None if user is None else _SHARED
    with tempfile.TemporaryDirectory(prefix="openai-moodle-sidecar-", dir=place) as name:
        stage = Path(name)
        stage.chmod(0o755)
        for source in (script, *sorted(script.with_suffix("").glob("*.php"))):
            copy = stage / source.relative_to(script.parent)
            copy.parent.mkdir(mode=0o755, exist_ok=True)
            shutil.copyfile(source, copy)
            copy.chmod(0o644)
        yield Program(site, found, user, stage)


def in_checkout(name: str) -> Path | None:
    """Return a file or folder of the checkout that this install was made from; None for an install without one."""
    package = Path(__file__).resolve().parents[2]
    # `./start-server.sh` copies the package into an environment inside the checkout.
    for folder in (package, *Path(sys.prefix).resolve().parents[:2]):
        if (folder / name).exists() and (folder / "pyproject.toml").is_file():
            return folder / name
    return None


def _tail(text: bytes) -> str:
    """Return the last words of a program's output."""
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return " ".join(lines)[-_TAIL:]
