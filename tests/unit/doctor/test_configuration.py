"""What the doctor says of TOKENS_FILE."""

from pathlib import Path

from sidecar.doctor.configuration import conflicts, loaded
from tests.support.limited_sidecar import token_table


def test_mistakes_of_the_tokens_file_are_findings(tmp_path: Path) -> None:
    """With line and field, as at a start; the other checks go on without it."""
    file = tmp_path / "tokens.toml"
    file.write_text("[user]\nat_once = 0\n")
    settings, found = loaded({"tokens_file": str(file), "openai_api_key": "x"}, "/dev/null")
    assert settings is not None
    assert [(finding.check, finding.state) for finding in found] == [("settings", "failed")]
    assert "line 2: user.at_once=0" in found[0].what


def test_named_tokens_are_tokens_to_the_doctor(tmp_path: Path) -> None:
    """Beyond loopback they will do, and no note misses another one."""
    file = tmp_path / "tokens.toml"
    file.write_text(token_table("physics"))
    flags = {"tokens_file": str(file), "openai_api_key": "x", "host": "0.0.0.0"}
    settings, found = loaded(flags, "/dev/null")
    assert settings is not None
    assert [finding.state for finding in found] == ["ok"]
    said = {finding.check for finding in conflicts(settings, flags, "/dev/null")}
    assert not said & {"settings", "token"}
