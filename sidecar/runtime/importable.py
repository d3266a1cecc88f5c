"""Environment in which a child Python imports the same files as this process."""

import sysconfig
from collections.abc import Mapping
from pathlib import Path

import sidecar


def importable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, in which a child with `-P` imports this process's own code."""
    env = dict(environment)
    folder = str(Path(sidecar.__file__).resolve().parents[1])
    if folder not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        # A checkout is importable here by the working directory, which the child ignores.
        env["PYTHONPATH"] = folder + (f":{known}" if (known := env.get("PYTHONPATH")) else "")
    return env
