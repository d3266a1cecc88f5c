"""The dashboard's page, as the package ships it, and the headers that confine it."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import hdrs

_INLINE: Final = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)


class StaticPage(NamedTuple):
    """The page's bytes and headers."""

    body: bytes
    headers: dict[str, str]


def load() -> StaticPage:
    """Read the page. Its headers allow the style and the script in it, by their hashes, and no other source."""
    body = Path(__file__).with_name("page.html").read_bytes()
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in _INLINE.findall(body):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        hashes[kind.decode()].append(f"'sha256-{digest}'")
    policy = {
        "default-src": "'none'",
        "style-src": " ".join(hashes["style"]),
        "script-src": " ".join(hashes["script"]),
        "connect-src": "'self'",
        "img-src": "data:",  # a blank icon, so that no browser looks for another
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return StaticPage(
        body,
        {
            hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
