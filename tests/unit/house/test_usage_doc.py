"""docs/usage.md has the numbers of the code, and every dimension and column of the command."""

from sidecar.config.settings import BY_FIELD
from sidecar.usage.database import MOST_PAGES
from sidecar.usage.recorder import MOST_KEYS, OTHERS, USERS_AN_HOUR
from sidecar.usage.report import DIMENSIONS, SUMS
from sidecar.usage.writer import WRITE_SECONDS
from tests.support.paths import ROOT

DOC = (ROOT / "docs/usage.md").read_text("utf-8")


def test_its_numbers_are_the_codes() -> None:
    """An administrator plans with them."""
    for words in (
        f"every {WRITE_SECONDS:g} seconds",
        f"`USAGE_DAYS` ({BY_FIELD['usage_days'].default})",
        f"{MOST_PAGES * 4096 // 2**20} MiB",
        f"{USERS_AN_HOUR:,} users an hour",
        f"`{OTHERS}`",
        f"{MOST_KEYS:,} rows",
    ):
        assert words in DOC, words


def test_it_names_what_can_be_chosen_and_what_is_counted() -> None:
    """In the words of the command."""
    for name in (*DIMENSIONS, *SUMS[1:]):
        assert f"`{name}`" in DOC, name
