"""A stand-in of an installed Moodle, in a folder, for real PHP (tests/php/moodle_site.php). No promises here."""

import json
import os
import pwd
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.cli.main import main
from tests.support.paths import ROOT
from tests.support.php import PHP

TOKEN: Final = "token-canary-1"
URL: Final = "http://127.0.0.1:8099"
BLOCK: Final = "http://127.77.0.1"
"""Address of the shipped nginx block."""
VERSION: Final = 2026112900
_VERSION_PHP: Final = "<?php\n$plugin->component = 'aiprovider_sidecar';\n$plugin->version = {};\n"
_UPGRADE: Final = """<?php
define('CLI_SCRIPT', true);
require(__DIR__ . '/../../config.php');
foreach (core_plugin_manager::instance()->get_plugins()['aiprovider'] as $found) {
    if (in_array($found->get_status(), ['new', 'upgrade'])) {
        $plugin = new stdClass();
        require("$CFG->dirroot/ai/provider/" . substr($found->component, 11) . '/version.php');
        set_config('version', (string) $plugin->version, $found->component);
    }
}
"""


class Moodle:
    """A Moodle of 5.1 with its pages in `public`, or one of 4.5."""

    def __init__(self, folder: Path, shape: str = "5.1", **more: Any) -> None:
        self.root = folder / "moodle"
        self.code = self.root / "public" if shape != "4.5" else self.root
        self.plugin = self.code / "ai/provider/sidecar"
        for path in (self.code / "lib", self.root / "admin/cli", self.code / "ai/provider/openai"):
            path.mkdir(parents=True)
        (self.root / "config.php").write_text(
            f"<?php\n$moodle = __DIR__;\nrequire_once '{ROOT}/tests/php/moodle_site.php';\n"
        )
        for name in ("lib/setup.php", "lib/clilib.php", "lib/adminlib.php"):
            (self.code / name).write_text("<?php\n")
        (self.code / "version.php").write_text("<?php\n$version = 2025100600;\n")
        openai = _VERSION_PHP.format(1).replace("_sidecar", "_openai")
        (self.code / "ai/provider/openai/version.php").write_text(openai)
        (self.root / "admin/cli/upgrade.php").write_text(_UPGRADE)
        self.write(
            {
                "shape": shape,
                "release": f"{shape} (Build: 1)",
                "branch": 405 if shape == "4.5" else 501,
                "config": {
                    "core": {"curlsecurityblockedhosts": "127.0.0.0/8\r\nlocalhost"},
                    "aiprovider_openai": {"version": "1"},
                    "aiplacement_courseassist": {"version": "1"},
                    "aiplacement_editor": {"version": "1"},
                },
                "instances": {},
                "log": [],
                "allowed": True,
                "people": 100,
                "without_policy": 0,
                "sidecar": {"url": URL, "token": TOKEN, "provider": "ok"},
                **more,
            }
        )
        self.source = folder / "plugin"
        self.source.mkdir()
        (self.source / "version.php").write_text(_VERSION_PHP.format(VERSION))
        self.php = folder / "php"  # without extensions it starts three times as fast
        self.php.write_text(f'#!/bin/sh\nexec {PHP} -n "$@"\n')
        self.php.chmod(0o755)
        self.token = folder / "token"
        self.token.write_text(TOKEN)

    def read(self) -> Any:
        return json.loads((self.root / "site.json").read_text())

    def write(self, content: Any) -> None:
        (self.root / "site.json").write_text(json.dumps(content))

    def state(self) -> Any:
        """Return everything but the log of changes, in one order."""
        found = {name: value for name, value in self.read().items() if name != "log"}
        found["instances"] = dict(found["instances"])  # PHP writes an empty map as a list
        return found

    def set(self, plugin: str, **values: str) -> None:
        """Change Moodle's configuration, as its administrator does."""
        content = self.read()
        content["config"].setdefault(plugin, {}).update(values)
        self.write(content)

    def instance(self) -> Any:
        [found] = self.read()["instances"].values()
        return found


def setup(capsys: pytest.CaptureFixture[str], moodle: Moodle, *words: str) -> tuple[int, str]:
    """Run `moodle setup`, check that the token is in no output, and return exit code and output."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    given = ["--env-file=/dev/null", f"--php-user={me}", f"--php={moodle.php}"]
    if "--undo" not in words:
        url = BLOCK if "--openai-provider" in words else URL
        given += [f"--plugin={moodle.source}", f"--url={url}", f"--token-file={moodle.token}"]
    code = main(["moodle", "setup", str(moodle.root), *given, *words])
    out, err = capsys.readouterr()
    assert "canary" not in out + err
    return code, out + err
