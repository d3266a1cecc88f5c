"""The env file: NAME=value lines, which systemd and PHP's one-shot processes read too. Mistakes are told by line."""

from typing import Final

from sidecar.config.settings import BY_FIELD
from sidecar.core.errors import plain

ENV_FILE: Final = "/etc/openai-moodle-sidecar/env"
"""The env file that is read by default, if it exists."""
LONGEST_FILE: Final = 1024**2
"""The most bytes that are read of a file."""
ENCODING: Final = "utf-8-sig"
"""UTF-8, less the invisible byte order mark that editors on Windows put first."""


def read_env_file(named: str | None, faults: list[str]) -> dict[str, str]:
    """Return the texts by name in the file `named`, or else in `ENV_FILE`. Mistakes go to `faults`."""
    path = named or ENV_FILE
    try:
        with open(path, encoding=ENCODING) as file:
            lines = file.read(LONGEST_FILE).splitlines()
    except FileNotFoundError:
        if named:
            faults.append(f"--env-file={plain(named, 200)}: no such file")
        return {}
    except (OSError, ValueError) as exc:
        faults.append(f"the env file {plain(path, 200)}: cannot be read ({reason(exc)})")
        return {}
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier():
            faults.append(f"the env file {plain(path, 200)}: line {number} is not NAME=value")
        elif value and (mistake := _misspelled(name)):
            faults.append(f"the env file {plain(path, 200)}: line {number}: {mistake}")
        else:
            found[name] = _unquote(value)
    return found


def reason(exc: Exception) -> str:
    """Return why a file cannot be read."""
    return (exc.strerror if isinstance(exc, OSError) else None) or "not UTF-8 text"


def _unquote(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _misspelled(name: str) -> str:
    """Return the advice for a name that was probably meant for the sidecar and is none of its settings, else blank."""
    if name.isupper() and name.lower() in BY_FIELD:
        return ""
    from sidecar.config.names import misspelled  # noqa: PLC0415 - late: a one-shot process pays for each import

    found = misspelled(name)
    return found.advice if found else ""
