"""The two locks: exact, hashed, free of places to download from, and in step with pyproject.toml and each other."""

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

RUN = "requirements.lock"
DEV = "requirements-dev.lock"
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[0-9][0-9a-z.+!]*)(?: ; (?P<marker>[^\\]+?))?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: str) -> list[list[str]]:
    """The words of each entry: the pin, then its hashes."""
    text = (ROOT / lock).read_text("utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = code.replace("\\\n", "\0").splitlines()
    return [[word.strip() for word in line.split("\0")] for line in lines if line.strip()]


def pins(lock: str) -> dict[str, str]:
    found = (PIN.fullmatch(entry[0]) for entry in entries(lock))
    return {match["name"]: match["version"] for match in found if match}


def asked(*groups: str) -> list[Requirement]:
    pyproject: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    texts = list(pyproject["project"]["dependencies"])
    for group in groups:
        texts += pyproject["dependency-groups"][group]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_a_lock_holds_only_exact_pins_with_hashes(lock: str) -> None:
    """What is installed is what was locked, byte for byte."""
    found = entries(lock)

    assert found
    for pin, *hashes in found:
        assert PIN.fullmatch(pin), pin
        assert hashes, pin
        assert all(HASH.fullmatch(text) for text in hashes), pin


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_a_lock_names_no_place_to_download_from(lock: str) -> None:
    """Mirrors and proxies are the business of the machine that installs."""
    text = (ROOT / lock).read_text("utf-8")

    assert "://" not in text
    assert not re.search(r"--(extra-)?index|--find-links|--trusted-host| @ ", text)


@pytest.mark.parametrize(("lock", "groups"), [(RUN, ["build"]), (DEV, ["build", "dev"])])
def test_a_lock_satisfies_what_pyproject_requires(lock: str, groups: list[str]) -> None:
    """A range that was changed without `make lock` is found here, not on a user's machine."""
    locked = pins(lock)

    for requirement in asked(*groups):
        name = canonicalize_name(requirement.name)
        assert name in locked, requirement
        assert requirement.specifier.contains(locked[name]), requirement


def test_tests_run_on_what_is_shipped() -> None:
    """Every pin of the lock that users install from is in the lock for tests, at the same version."""
    assert pins(RUN).items() <= pins(DEV).items()


def test_no_test_tool_is_shipped() -> None:
    """start-server.sh installs what serves, and nothing else."""
    only_dev = {canonicalize_name(requirement.name) for requirement in asked("dev")} - {
        canonicalize_name(requirement.name) for requirement in asked("build")
    }

    assert not only_dev & pins(RUN).keys()
