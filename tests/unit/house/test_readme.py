"""What README and docs promise about settings is what the code does."""

import re

from sidecar.config.setting import Setting
from sidecar.config.settings import SETTINGS
from tests.support.paths import ROOT


def row(setting: Setting) -> str:
    default = setting.default
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, float):
        default = f"{default:g}"
    elif isinstance(default, int) and default % 1024**2 == 0 and default:
        default = f"{default // 1024**2}MiB"
    shown = f"`{default}`" if default not in ("", {}) else ""
    return f"| `{setting.name}` | {shown} | {setting.help} |"


def test_the_settings_table_is_the_codes() -> None:
    """Every setting with its default and meaning, none missing and none that does not exist."""
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    table = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", text, re.DOTALL)
    assert table is not None
    expected = ["| variable | default | meaning |", "|---|---|---|", *map(row, SETTINGS)]
    assert table[1].strip().splitlines() == expected


def test_every_variable_the_documents_name_exists() -> None:
    """No document speaks of a setting that is not there."""
    known = {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    prefixes = ("OPENAI_API", "OPENAI_BASE", "OPENAI_MODEL", "QUEUE_", "CACHE_", "SIDECAR_", "STDIO_", "MAX_", "LOG_")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name in re.findall(r"\b[A-Z][A-Z]+_[A-Z_]*[A-Z]\b", path.read_text()):
            assert name in known or not name.startswith(prefixes), f"{path.name}: {name}"


def test_every_file_the_documents_link_to_exists() -> None:
    """No dead link inside the repository."""
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
