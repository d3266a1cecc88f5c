"""What docs/moodle.md promises to administrators is what the code and the shipped files say."""

import ipaddress
import re

import pytest

from sidecar.cli.main import main
from sidecar.config.settings import BY_FIELD
from sidecar.core import errors
from sidecar.http.schemas.completion_policy import PLAIN, policy_of
from tests.support.paths import ROOT

DOC = (ROOT / "docs/moodle.md").read_text("utf-8")
BLOCK = (ROOT / "deploy/nginx-moodle-ai.conf").read_text("utf-8")


def sentences() -> list[str]:
    """What the table of errors quotes as said by us."""
    table = DOC[DOC.index("### What a person sees") : DOC.index("### Without nginx")]
    quoted = re.findall(r"^\| `([A-Z][^`]{20,})`", table, re.MULTILINE)
    return [sentence.partition("…")[0].strip() for sentence in quoted if "error code" not in sentence]


@pytest.mark.parametrize("sentence", sentences())
def test_the_errors_that_it_explains_are_the_ones_that_are_said(sentence: str) -> None:
    """A person searches for the words on the screen."""
    said = [kind.sentence for kind in vars(errors).values() if hasattr(kind, "sentence")]
    assert any(one.startswith(sentence) for one in said) or sentence in BLOCK


def test_the_table_of_errors_is_read() -> None:
    """The test above has something to look at."""
    assert len(sentences()) >= 6


def test_every_action_in_its_addresses_is_one_that_the_route_knows() -> None:
    """An unknown one would silently be a plain completion."""
    actions = set(re.findall(r"\?action=(\w+)", DOC))
    assert actions >= {"generate_text", "summarise_text", "explain_text"}
    assert all(policy_of(action) is not PLAIN for action in actions)


def test_the_time_limits_are_in_order() -> None:
    """An administrator who copies the table gets layers of which the inner one speaks first."""
    table = DOC[DOC.index("| limit | where") : DOC.index("Moodle's AI subsystem sets no limit")]
    seconds = [float(row) for row in re.findall(r"\| (\d+)[^|]*\|$", table, re.MULTILINE)]
    assert len(seconds) == 5
    assert seconds == sorted(seconds)
    assert seconds[0] == BY_FIELD["request_timeout"].default
    assert f"proxy_read_timeout {seconds[2]:.0f}s;" in BLOCK


def test_the_narrow_list_blocks_all_but_the_blocks_own_network() -> None:
    """The pasted rules close what the administrator wanted closed, and not the sidecar's address."""
    [lines] = re.findall(r"```\n(127\.[^`]+)```", DOC)
    blocked = [ipaddress.IPv4Network(line) for line in lines.split()]
    own = ipaddress.IPv4Network("127.77.0.0/16")
    assert sorted(blocked) == sorted(ipaddress.IPv4Network("127.0.0.0/8").address_exclude(own))
    assert "listen 127.77.0.1:80;" in BLOCK


def test_the_numbers_of_workers_follow_from_its_formula() -> None:
    """The examples are computed, not felt."""
    assert 300 - round(64 / 3) * (10 - 3) == 153
    assert all(words in DOC for words in ("300 - 21 * 7 = 153", "30 * 3 = 90", "1 * 4 = 4"))


def test_the_flags_of_its_table_exist_with_the_effects_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An administrator copies them."""
    table = DOC[DOC.index("| flag | effect |") : DOC.index("Moodle's upgrade takes")]
    flags = set(re.findall(r"`(--[a-z-]+)", table))
    with pytest.raises(SystemExit):
        main(["moodle", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert flags >= {"--dry-run", "--undo", "--placements", "--token-file", "--openai-provider"}
    assert flags <= known


def test_the_program_inside_moodle_has_moodles_licence() -> None:
    """It calls Moodle's functions, and no package or image of ours holds it."""
    program = [ROOT / "deploy/moodle-setup.php", *(ROOT / "deploy/moodle-setup").glob("*.php")]
    assert len(program) > 4
    for part in program:
        assert "SPDX-License-Identifier: GPL-3.0-or-later" in part.read_text("utf-8"), part
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    assert not {"!deploy", "!deploy/moodle-setup.php"} & set(ignored)


@pytest.mark.parametrize(
    "document", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
)
def test_every_place_inside_a_document_that_is_linked_exists(document: str) -> None:
    """A link to a heading leads to that heading."""
    for path, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", (ROOT / document).read_text("utf-8")):
        target = (ROOT / document).parent / path if path else ROOT / document
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
