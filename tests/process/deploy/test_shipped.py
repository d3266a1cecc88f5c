"""What the tools of containers say of the shipped files, where they are installed."""

import shutil
import subprocess

import pytest

from tests.support.paths import ROOT


def said(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout + done.stderr


def compose() -> list[str]:
    """Return the command of Compose 2; nothing where there is none."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if program := shutil.which(words[0]):
            command = [program, *words[1:]]
            code, text = said(*command, "version", "--short")
            if code == 0 and text.lstrip("v").partition(".")[0].isdecimal() and int(text.lstrip("v")[0]) >= 2:
                return command
    return []


COMPOSE = compose()


@pytest.mark.skipif(not COMPOSE, reason="Compose 2 is not installed")
def test_compose_takes_the_file() -> None:
    """No unknown key, no missing variable, no value it cannot read."""
    assert said(*COMPOSE, "--file", "docker-compose.yml", "config", "--quiet") == (0, "")


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    """About the image's recipe."""
    assert said(str(shutil.which("hadolint")), "Dockerfile") == (0, "")
