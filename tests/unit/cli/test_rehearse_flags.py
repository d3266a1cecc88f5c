"""Promises of the command line of `rehearse`: bounded, and every fault named before anything is called."""

import resource
from pathlib import Path

import pytest

from sidecar.cli.rehearse_flags import read
from sidecar.core.errors import ConfigError
from sidecar.rehearse.descriptors import reserve
from sidecar.rehearse.plan import Plan


def faults(*words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(["--env-file=/dev/null", *words])
    return caught.value.faults


def test_the_defaults_are_a_class_at_the_settings_address() -> None:
    """300 pupils within a minute, most of them on one page, at the sidecar that the settings describe."""
    order = read(["--env-file=/dev/null", "--port=8099"])
    assert order.plan == Plan()
    assert order.url == "http://127.0.0.1:8099"


def test_an_option_of_the_demo_provider_starts_one() -> None:
    """No address is called then, and the provider gets the option and the seed."""
    order = read(["--env-file=/dev/null", "--slots", "16", "--slots-by-turns=16:5,2", "--queue", "--seed=7"])
    assert order.url == ""
    assert order.demo_flags == ("--slots=16", "--slots-by-turns=16:5,2", "--queue=true", "--seed=7")
    assert read(["--env-file=/dev/null", "--demo"]).url == ""


def test_patience_is_phps_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, else the plugin's variable."""
    monkeypatch.setenv("OPENAI_SIDECAR_HTTP_TIMEOUT", "12")
    assert read(["--env-file=/dev/null"]).plan.patience == 12
    assert read(["--env-file=/dev/null", "--patience=5"]).plan.patience == 5


def test_every_number_is_bounded() -> None:
    """All faults at once, each with what is allowed."""
    found = faults(
        "--users=10001",
        "--clicks=0",
        "--within=3601",
        "--think=-1",
        "--same-page=70",
        "--patience=0",
        "--length=200001",
        "--route=v2",
        "--seed=x",
    )
    assert [fault.partition("=")[0] for fault in found] == [
        "--users",
        "--within",
        "--clicks",
        "--think",
        "--same-page",
        "--patience",
        "--length",
        "--route",
        "--seed",
    ]
    assert all("must be" in fault for fault in found)
    assert faults("--users=10000", "--clicks=6") == ["--users times --clicks: 60000 clicks; at most 50000"]


def test_a_running_sidecar_has_its_own_provider() -> None:
    """An address and options of a demo provider contradict each other."""
    assert faults("--url=http://127.0.0.1:1", "--slots=3", "--demo") == [
        "--url: a running sidecar has its own provider, so it goes without --demo, --slots"
    ]


def test_options_of_the_demo_provider_are_checked_first() -> None:
    """Nothing is started for a voice that there is not."""
    [fault] = faults("--voice=opera")
    assert "demo option voice" in fault


def test_a_picture_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    """It would be missed only after the class."""
    assert faults(f"--svg={tmp_path}") == [f"--svg={tmp_path}: cannot be written"]
    assert faults(f"--svg={tmp_path}/no/where.svg") == [f"--svg={tmp_path}/no/where.svg: cannot be written"]
    assert read(["--env-file=/dev/null", f"--svg={tmp_path}/class.svg"]).svg == tmp_path / "class.svg"


def test_too_few_open_files_are_said_before_the_start() -> None:
    """With the number that is needed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(ConfigError, match=rf"needs {hard + 65} open files, and this process may have {hard} "):
        reserve(hard + 1)
    reserve(1)


@pytest.mark.parametrize(
    ("written", "meant"), [("--slotz=3", "--slots"), ("--user=3", "--users"), ("--prot=1", "--port")]
)
def test_a_misspelled_option_is_told_the_nearest(written: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the class, of the demo provider and of the settings alike."""
    with pytest.raises(SystemExit):
        read([written])
    assert f"(did you mean {meant}?)" in capsys.readouterr().err
