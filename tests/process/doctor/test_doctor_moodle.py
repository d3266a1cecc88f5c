"""Promises of `doctor --moodle`, with real PHP and a stand-in of Moodle."""

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from sidecar.demo.provider import Demo
from tests.support.doctor_command import at, report
from tests.support.moodle_site import Moodle, setup
from tests.support.php import needs_php

pytestmark = needs_php
ME = f"--php-user={pwd.getpwuid(os.geteuid()).pw_name}"


async def test_the_doctor_reads_what_setup_writes(
    capsys: pytest.CaptureFixture[str], demo: Demo, tmp_path: Path
) -> None:
    """Before the setup the plugin is missing; after it PHP gets through; a folder without a Moodle is said."""
    moodle = Moodle(tmp_path)
    words = (*at(demo, f"--moodle={moodle.root}", f"--php={moodle.php}"), ME)
    before = await report(*words)
    assert before.state("Moodle plugin") == "failed"
    assert "moodle setup" in before.finding("Moodle plugin")["do"]
    await asyncio.to_thread(setup, capsys, moodle, "--placements")
    after = await report(*words)
    assert [after.state(f"Moodle {name}") for name in ("provider", "placement", "to sidecar")] == ["ok"] * 3
    none = await report(*at(demo, f"--moodle={tmp_path}"))
    assert "no Moodle" in none.finding("Moodle")["what"]


async def test_a_php_that_dies_is_said_with_its_last_words(demo: Demo, tmp_path: Path) -> None:
    """A database that is away, say: Moodle writes why and ends."""
    moodle = Moodle(tmp_path)
    (moodle.root / "config.php").write_text("<?php\nfwrite(STDERR, 'Error: database connection failed'); exit(1);\n")
    said = await report(*at(demo, f"--moodle={moodle.root}"), ME)
    assert "database connection failed" in said.finding("Moodle")["what"]
