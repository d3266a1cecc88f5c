"""Flags as PHP and units write them, `--name=value` and `--name`, read without argparse: a click pays for no parser.

Whatever else a command line may hold is argparse's, its mistakes included.
"""

from collections.abc import Sequence
from typing import Any

from sidecar.config.settings import SETTINGS

_SWITCHES = ("demo", "stdio", "jobs")


def plain_flags(words: Sequence[str]) -> dict[str, Any] | None:
    """Return every flag's value by field, as argparse reads these words; None where a word has another form."""
    fields = {setting.option: setting.field for setting in SETTINGS} | {"--env-file": "env_file"}
    bare = {setting.option: setting.field for setting in SETTINGS if setting.default is False}
    found: dict[str, Any] = dict.fromkeys(fields.values()) | dict.fromkeys(_SWITCHES, False)
    for word in words:
        option, equals, value = word.partition("=")
        if equals and option in fields:
            found[fields[option]] = value
        elif word[:2] == "--" and word[2:] in _SWITCHES:
            found[word[2:]] = True
        elif word in bare:
            found[bare[word]] = "true"  # a value of its own word, which has no --, would end this
        else:
            return None
    return found
