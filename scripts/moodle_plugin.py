"""Packs the Moodle plugin: `moodle_plugin.py [FOLDER]` writes aiprovider_sidecar-VERSION.zip, by default into dist.

The same files give the same bytes: names are sorted, and times and permissions are fixed.
"""

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "moodle/aiprovider_sidecar"
FOLDER = "sidecar"
"""The one folder of the archive: Moodle installs a plugin under the name of its folder."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can hold."""


def release() -> str:
    """Return the release in the plugin's version.php."""
    found = re.search(r"release = '([^']+)';", (PLUGIN / "version.php").read_text("utf-8"))
    if found is None:
        raise SystemExit("version.php names no release")
    return found[1]


def pack(folder: Path) -> Path:
    """Write the archive into `folder`, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"aiprovider_sidecar-{release()}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(PLUGIN.rglob("*")):
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(PLUGIN).parts):
                entry = zipfile.ZipInfo(f"{FOLDER}/{file.relative_to(PLUGIN).as_posix()}", EPOCH)
                entry.external_attr = 0o100644 << 16
                entry.create_system = 3  # Unix, on every machine
                archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return path


if __name__ == "__main__":
    print(pack(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
