"""What the tools of containers say of the shipped files, where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def program(name: str) -> str | None:
    """Return the path of a program, of those that came with the tests' packages first."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def said(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout + done.stderr


def compose() -> list[str]:
    """Return the command of Compose 2; nothing where there is none."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if found := program(words[0]):
            command = [found, *words[1:]]
            code, text = said(*command, "version", "--short")
            if code == 0 and text.lstrip("v").partition(".")[0].isdecimal() and int(text.lstrip("v")[0]) >= 2:
                return command
    return []


COMPOSE = compose()


@pytest.mark.skipif(not COMPOSE, reason="Compose 2 is not installed")
def test_compose_takes_the_file() -> None:
    """No unknown key, no missing variable, no value it cannot read."""
    assert said(*COMPOSE, "--file", "docker-compose.yml", "config", "--quiet") == (0, "")


@pytest.mark.skipif(not program("hadolint"), reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    """About the image's recipe."""
    assert said(str(program("hadolint")), "Dockerfile") == (0, "")
