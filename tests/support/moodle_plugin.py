"""The Moodle plugin in tests: driven by PHP with stand-ins of Moodle's classes. No promises here."""

import json
from typing import Any, Final, Literal

from tests.support.paths import ROOT
from tests.support.php import php
from tests.support.scripted_provider import http

PLUGIN: Final = ROOT / "moodle/aiprovider_sidecar"
DRIVE: Final = ROOT / "tests/php/plugin/drive.php"
LANGUAGES: Final = ("en", "de", "fr", "es")
Shape = Literal["5", "4.5"]
SHAPES: Final[tuple[Shape, ...]] = ("5", "4.5")
"""Moodle 5 has providers as instances, 4.5 has one for the site."""


async def driven(
    do: str, given: Any = None, *, shape: Shape = "5", env: dict[str, str] | None = None, **config: Any
) -> Any:
    """Return what the plugin made of `given`, set up with `config`; PHP reports no error."""
    task = json.dumps({"config": config, "do": do, "with": given})
    code, out, err = await php(DRIVE, shape, text=task, env=env)
    assert (code, err) == (0, ""), (code, out, err)
    return json.loads(out)


async def acted(*calls: dict[str, Any], **how: Any) -> list[Any]:
    """Return the plugin's answer to each action."""
    answers: list[Any] = await driven("actions", calls, **how)
    return answers


def failure(code: str, status: int) -> bytes:
    """Return a refusal of the sidecar on its OpenAI-compatible addresses."""
    error = {"message": "Said by the sidecar.", "type": "server_error", "param": None, "code": code}
    return http({"error": error}, status)
