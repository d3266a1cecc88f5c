"""Promises of the Moodle plugin's folder: its licence, its archive and its strings; no package holds it."""

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import sidecar
from scripts.moodle_plugin import PLUGIN, pack, release
from sidecar.core.errors import SidecarError
from tests.support.moodle_plugin import LANGUAGES, driven
from tests.support.paths import ROOT
from tests.support.php import needs_php

SCRIPTS = sorted(PLUGIN.rglob("*.php"))
MISLED = {"bad_request", "http_version", "method_not_allowed", "not_found", "wrong_host"}
"""Codes that only a wrong address leads to; one sentence of the plugin serves them."""
NOT_OURS = {"cancelled", "internal", "request_timeout"}
"""Codes with the sentence of an internal fault: jobs' own, and one that curl never gets."""


def test_every_file_is_under_the_gpl_and_says_so() -> None:
    """Moodle's rule for plugins; the rest of the repository is under Apache-2.0."""
    assert (PLUGIN / "COPYING").read_text("utf-8").lstrip().startswith("GNU GENERAL PUBLIC LICENSE")
    assert len(SCRIPTS) > 20
    for script in SCRIPTS:
        text = script.read_text("utf-8")
        assert "either version 3 of the License, or\n// (at your option) any later version." in text, script
        for tag in ("@package    aiprovider_sidecar\n", "@copyright  2026 ", "GNU GPL v3 or later\n"):
            assert tag in text, (script, tag)


def test_the_archive_has_one_folder_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Moodle installs it as it is; whoever builds it can compare."""
    first, second = pack(tmp_path / "a"), pack(tmp_path / "b")
    assert first.name == f"aiprovider_sidecar-{release()}.zip"
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {name.split("/")[0] for name in names} == {"sidecar"}
    assert {f"sidecar/{path.relative_to(PLUGIN)}" for path in SCRIPTS} < set(names)
    assert {"sidecar/COPYING", "sidecar/README.md", "sidecar/version.php"} < set(names)
    assert f"## {release()}" in (PLUGIN / "CHANGES.md").read_text("utf-8")


def test_no_package_and_no_image_of_ours_holds_it(tmp_path: Path) -> None:
    """It is under another licence."""
    source = tmp_path / "source"
    for part in ("sidecar", "worker", "moodle", "deploy"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta as b; print(b.build_sdist('out')); print(b.build_wheel('out'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [wheel], [sdist] = (source / "out").glob("*.whl"), (source / "out").glob("*.tar.gz")
    listed = subprocess.run(["tar", "tzf", sdist], check=True, capture_output=True, text=True).stdout.split()
    names = zipfile.ZipFile(wheel).namelist() + listed
    assert [name for name in names if name.endswith((".php", "COPYING")) or "moodle/aiprovider_sidecar" in name] == []
    assert "sidecar/__main__.py" in names
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert allowed[0] == "*"
    assert not [line for line in allowed if line.startswith(("!moodle", "!*"))]


def errors() -> Iterator[type[SidecarError]]:
    """Every error of a request."""
    for module in pkgutil.walk_packages(sidecar.__path__, "sidecar."):
        if module.name.startswith(("sidecar.core", "sidecar.http", "sidecar.engine")):
            importlib.import_module(module.name)
    left = [SidecarError]
    while left:
        error = left.pop()
        left += error.__subclasses__()
        if error.__module__.startswith("sidecar."):
            yield error


@needs_php
async def test_every_code_of_the_sidecar_has_a_sentence() -> None:
    """A new code needs one in each language, or a place among those that share one."""
    strings, codes = await driven("strings")
    assert sorted(strings) == sorted(LANGUAGES)
    assert {error.code for error in errors()} - set(codes) <= MISLED | NOT_OURS
    assert {f"error:{code}" for code in codes} == {name for name in strings["en"] if name.startswith("error:")}
    for language in LANGUAGES:
        assert strings[language].keys() == strings["en"].keys(), language
        for name, string in strings[language].items():
            assert string.strip() == string != "", (language, name)
            assert ("{$a}" in string) is ("{$a}" in strings["en"][name]), (language, name)
            assert not re.search(r"[<>]", string), (language, name)


@needs_php
async def test_every_string_in_use_is_there_and_every_file_is_php() -> None:
    """Moodle shows [[name]] for a string that is missing."""
    assert await driven("parsed", [str(script) for script in SCRIPTS]) == []
    text = "".join(script.read_text("utf-8") for script in SCRIPTS if "lang" not in script.parts)
    strings, _ = await driven("strings")
    named = set(re.findall(r"(?:get_string|\$string|\$text)\('([a-z:_]+)'", text))
    named |= set(re.findall(r"addHelpButton\('\w+', '(\w+)'", text))
    named |= set(re.findall(r"'(status:\w+|privacy:[\w:]+)'", text))
    assert named - {"required"} <= strings["en"].keys()
