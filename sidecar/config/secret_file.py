"""Secrets in files of their own: a file holds the value and nothing else."""

from typing import Final

from sidecar.config.env_file import ENCODING, LONGEST_FILE, reason
from sidecar.config.setting import Setting
from sidecar.config.types import Kind
from sidecar.core.errors import plain

_CREDENTIALS: Final = "/run/credentials/"
"""Folder of systemd's copies of the files that LoadCredential= names (systemd.exec(5))."""
_FOR_ALL: Final = "write the value into it"
_FOR_SYSTEMD: Final = "write the value into the file that LoadCredential= in the unit names, or into the env file"


def read_secret_file(path: str) -> str:
    """Return the secret in a file, without white space around it. Raises `OSError`, or `ValueError` for no UTF-8."""
    with open(path, encoding=ENCODING) as file:
        return file.read(LONGEST_FILE).strip()


def alone(text: str, kind: Kind) -> str:
    """Return the value that a file's text has. Raises `ValueError` with what the text must be."""
    try:
        return str(kind(text))
    except ValueError:
        if "#" in text and len(text.split()) > 1:
            raise ValueError("the value alone, without a comment") from None
        if "\n" in text:
            raise ValueError("one line, the value alone") from None
        raise


def secret_of(setting: Setting, path: str, faults: list[str]) -> str:
    """Return the text for `setting` in the file; blank if the file is wrong, which goes to `faults`."""
    start = f"{setting.name}_FILE={plain(path, 200)}: "
    try:
        text = read_secret_file(path)
    except (OSError, ValueError) as exc:
        faults.append(f"{start}cannot be read ({reason(exc)})")
        return ""
    if not text:
        faults.append(f"{start}the file is empty; {_FOR_SYSTEMD if path.startswith(_CREDENTIALS) else _FOR_ALL}")
        return ""
    try:
        alone(text, setting.kind)
    except ValueError as exc:
        faults.append(f"{start}the text in it must be {exc}")
        return ""
    return text
