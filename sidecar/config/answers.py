"""Settings of how answers are written."""

from typing import Final

from sidecar.config import types
from sidecar.config.setting import Setting
from sidecar.core.contract import FORMATS

ANSWERS: Final = (
    Setting(
        name="FORMAT",
        kind=types.choice(*FORMATS),
        default="",
        help="how answers are written: html, markdown or text, unless the request's format says otherwise; by default "
        "html on /ai and stdio, markdown in jobs and batches",
        flag="--answer-format",  # `usage` has a --format of its own
    ),
    Setting(
        name="HTML_SAFE",
        kind=types.boolean,
        default=False,
        help="the older way to keep markup out: FORMAT=markdown, with a space after each <",
    ),
)
