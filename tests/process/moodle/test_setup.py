"""Promises of `moodle setup`, with real PHP and a stand-in of Moodle: what it changes, that twice is once, and undo."""

from pathlib import Path

import pytest

from tests.support.moodle_site import BLOCK, TOKEN, URL, VERSION, Moodle, setup
from tests.support.php import needs_php

pytestmark = needs_php

ACTIONS = {f"core_ai\\aiactions\\{name}" for name in ("generate_text", "summarise_text", "explain_text")}
Capture = pytest.CaptureFixture[str]


def test_one_command_leads_to_a_summary(capsys: Capture, tmp_path: Path) -> None:
    """Plugin, instance with address and token, first in the order, actions, placements; and PHP gets through."""
    moodle = Moodle(tmp_path)
    code, said = setup(capsys, moodle, "--placements")
    assert code == 0, said
    config, made = moodle.read()["config"], moodle.instance()
    assert config["aiprovider_sidecar"]["version"] == str(VERSION)
    assert (made["enabled"], made["config"]) == (True, {"url": URL, "token": TOKEN})
    assert {action for action, state in made["actionconfig"].items() if state["enabled"]} == ACTIONS
    assert config["core_ai"]["provider_order"] == f",{made['id']}"
    assert config["aiplacement_courseassist"]["enabled"] == config["aiplacement_editor"]["enabled"] == "1"
    assert "PHP reaches the sidecar with this token" in said
    assert "127.0.0.0/8" in config["core"]["curlsecurityblockedhosts"]


def test_twice_is_once_and_a_dry_run_is_none(capsys: Capture, tmp_path: Path) -> None:
    """The dry run lists what the run then does; the second run has nothing to do."""
    moodle = Moodle(tmp_path)
    before = moodle.read()
    code, listed = setup(capsys, moodle, "--placements", "--dry-run")
    assert (code, moodle.read(), moodle.plugin.exists()) == (0, before, False)
    _, said = setup(capsys, moodle, "--placements")
    assert set(_changes(listed)) <= set(_changes(said))
    once = moodle.read()
    assert "Nothing to change." in setup(capsys, moodle, "--placements")[1]
    assert moodle.read() == once


def _changes(said: str) -> list[str]:
    return [line for line in said.splitlines() if " -> " in line and line.startswith("  ")]


@pytest.mark.parametrize("shape", ["5.1", "4.5"])
@pytest.mark.parametrize("words", [(), ("--openai-provider",)], ids=["plugin", "openai"])
def test_undo_leaves_moodle_as_it_was(capsys: Capture, tmp_path: Path, shape: str, words: tuple[str, ...]) -> None:
    """Values that were there come back, values that were not are gone; the plugin's folder too."""
    moodle = Moodle(tmp_path, shape)
    moodle.set("aiprovider_openai", apikey="key-of-before", summarise_text="0")
    moodle.set("aiplacement_editor", generate_text="0", enabled="1")
    moodle.set("core", proxyhost="proxy.example", proxybypass="localhost")
    before = moodle.state()
    setup(capsys, moodle, "--placements", *words)
    assert moodle.state() != before
    code, said = setup(capsys, moodle, "--undo", *words)
    assert (code, moodle.state()) == (0, before), said
    assert not moodle.plugin.exists()
    assert "nothing to undo" in setup(capsys, moodle, "--undo", *words)[1]


def test_an_instance_that_was_there_is_given_back_as_it_was(capsys: Capture, tmp_path: Path) -> None:
    """One made by hand, disabled, with another address and an action off; undo touches no value changed since."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    content = moodle.read()
    del content["config"]["aiprovider_sidecar"]["sidecar_setup"]  # as if it had been made by hand
    [made] = content["instances"].values()
    made["enabled"], made["config"] = False, {"url": "http://127.0.0.1:1", "deadline": 20}
    made["actionconfig"]["core_ai\\aiactions\\explain_text"]["enabled"] = False
    del content["config"]["core_ai"]
    moodle.write(content)
    before = moodle.state()
    setup(capsys, moodle)
    assert moodle.instance()["config"] == {"url": URL, "token": TOKEN, "deadline": 20}
    setup(capsys, moodle, "--undo")
    assert moodle.state() == before


def test_undo_leaves_what_another_hand_has_changed(capsys: Capture, tmp_path: Path) -> None:
    """It says so; of an order it takes the own instance out."""
    moodle = Moodle(tmp_path, "5.1")
    moodle.set("core_ai", provider_order=",7")
    setup(capsys, moodle, "--openai-provider")
    made = moodle.instance()["id"]
    moodle.set("core_ai", provider_order=f",8,{made},7")
    moodle.set("core", curlsecurityblockedhosts="127.0.0.1")
    _, said = setup(capsys, moodle, "--undo", "--openai-provider")
    config = moodle.read()["config"]
    assert "core, curlsecurityblockedhosts: changed since" in said
    assert (config["core"]["curlsecurityblockedhosts"], config["core_ai"]["provider_order"]) == ("127.0.0.1", ",8,7")


def test_cores_provider_is_opened_as_little_as_possible(capsys: Capture, tmp_path: Path) -> None:
    """A half of the blocked range stays, another instance of the same plugin stays as it is, images are off."""
    moodle = Moodle(tmp_path)
    content = moodle.read()
    other = {"provider": "aiprovider_openai\\provider", "enabled": True, "name": "Their own", "config": {"apikey": "k"}}
    settings = {"endpoint": "https://api.example/v1/chat/completions"}
    theirs = {"core_ai\\aiactions\\summarise_text": {"enabled": True, "settings": settings}}
    content["instances"]["3"] = {**other, "actionconfig": theirs, "id": 3}
    moodle.write(content)
    setup(capsys, moodle, "--openai-provider")
    after = moodle.read()
    assert after["config"]["core"]["curlsecurityblockedhosts"] == "127.0.0.0/16\nlocalhost"
    assert after["instances"]["3"] == content["instances"]["3"]
    actions = after["instances"]["4"]["actionconfig"]
    summary = actions["core_ai\\aiactions\\summarise_text"]
    assert summary["settings"]["endpoint"] == f"{BLOCK}/v1/chat/completions?action=summarise_text"
    assert not actions["core_ai\\aiactions\\generate_image"]["enabled"]


def test_a_newer_plugin_is_never_replaced_by_an_older_one(capsys: Capture, tmp_path: Path) -> None:
    """An update replaces the files and runs Moodle's upgrade; the other way is refused."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    version = moodle.source / "version.php"
    version.write_text(version.read_text().replace(str(VERSION), str(VERSION + 1)))
    (moodle.source / "lang").mkdir()
    (moodle.source / "lang/new.php").write_text("<?php\n")
    _, said = setup(capsys, moodle)
    assert f"plugin aiprovider_sidecar: {VERSION} -> {VERSION + 1}" in said
    assert (moodle.plugin / "lang/new.php").is_file()
    assert sorted(path.name for path in moodle.plugin.parent.iterdir()) == ["openai", "sidecar"]
    version.write_text(version.read_text().replace(str(VERSION + 1), str(VERSION)))
    code, said = setup(capsys, moodle)
    assert (code, "newer" in said) == (1, True)


def test_a_moodle_that_waits_for_an_upgrade_stays_as_it_is(capsys: Capture, tmp_path: Path) -> None:
    """Its administrator runs that upgrade, not we."""
    moodle = Moodle(tmp_path)
    (moodle.code / "version.php").write_text("<?php\n$version = 2026100600;\n")
    before = moodle.read()
    code, said = setup(capsys, moodle)
    assert (code, moodle.read(), moodle.plugin.exists()) == (1, before, False)
    assert "waits for an upgrade (core)" in said


def test_undo_runs_no_upgrade_of_anything_else(capsys: Capture, tmp_path: Path) -> None:
    """New files of Moodle wait for a maintenance window; nothing is undone before."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    (moodle.code / "version.php").write_text("<?php\n$version = 2026100600;\n")
    before = moodle.read()
    code, said = setup(capsys, moodle, "--undo")
    assert (code, moodle.read(), moodle.plugin.exists()) == (1, before, True)
    assert "waits for an upgrade (core)" in said


def test_undo_deletes_no_instance_of_another_hand(capsys: Capture, tmp_path: Path) -> None:
    """Uninstalling the plugin would, so that they are named and all stays."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    content = moodle.read()
    content["instances"]["99"] = moodle.instance() | {"id": 99, "name": "Physics"}
    moodle.write(content)
    for words in (("--undo", "--dry-run"), ("--undo",)):
        code, said = setup(capsys, moodle, *words)
        assert (code, moodle.read()) == (1, content)
        assert '"Physics"' in said


def test_older_files_are_not_put_over_a_newer_database(capsys: Capture, tmp_path: Path) -> None:
    """Moodle would refuse the downgrade, and wait for it for ever on that node."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    moodle.set("aiprovider_sidecar", version=str(VERSION + 1))
    for path in moodle.plugin.iterdir():
        path.unlink()
    moodle.plugin.rmdir()
    code, said = setup(capsys, moodle)
    assert (code, "database has a newer" in said, moodle.plugin.exists()) == (1, True, False)


@pytest.mark.parametrize("address", ["http://moodle:t0ken@127.0.0.1:8081", "http://127.0.0.1:8081/?t0ken"])
def test_an_address_that_may_hold_a_token_is_refused_unshown(capsys: Capture, tmp_path: Path, address: str) -> None:
    """The plugin would refuse it too."""
    moodle = Moodle(tmp_path)
    before = moodle.read()
    code, said = setup(capsys, moodle, f"--url={address}")
    assert (code, moodle.read()) == (2, before)
    assert "t0ken" not in said


@pytest.mark.parametrize("end", ["/v1/chat/completions", "/v1/", "/ai"])
def test_the_apis_ends_of_an_address_are_taken_off(capsys: Capture, tmp_path: Path, end: str) -> None:
    """An address may be given as the docs of each route name it."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle, f"--url={URL}{end}")
    assert moodle.instance()["config"]["url"] == URL


def test_another_web_node_gets_the_files_only(capsys: Capture, tmp_path: Path) -> None:
    """Nodes share the database, so nothing but the plugin's folder is missing there."""
    moodle = Moodle(tmp_path)
    setup(capsys, moodle)
    once = moodle.read()
    for path in moodle.plugin.iterdir():
        path.unlink()
    moodle.plugin.rmdir()
    _, said = setup(capsys, moodle)
    assert "1 change made" in said
    assert (moodle.plugin / "version.php").is_file()
    assert moodle.read() == once


def test_a_value_that_config_php_fixes_is_said(capsys: Capture, tmp_path: Path) -> None:
    """Moodle takes the fixed one, whatever its configuration says."""
    moodle = Moodle(tmp_path, forced={"aiplacement_courseassist": {"enabled": "0"}})
    code, said = setup(capsys, moodle, "--placements")
    assert code == 1
    assert "config.php of this Moodle fixes enabled of aiplacement_courseassist" in said
