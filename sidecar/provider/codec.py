"""JSON of provider calls: a request's body to bytes, and a provider's bytes to values.

Free of I/O and heavy imports, because the one-shot process pays for every import.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder()


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return the body as JSON in UTF-8; halves of surrogate pairs become U+FFFD, because JSON parsers refuse them."""
    try:
        return _encoder.encode(fields)
    except UnicodeEncodeError:
        import json  # noqa: PLC0415 - rare, and the one-shot process need not load it

        text = json.dumps(fields, ensure_ascii=False)
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def strict(raw: bytes) -> Any:
    """Return the JSON value in `raw`. Raises `ValueError` or `RecursionError` for everything else."""
    return _decoder.decode(raw)


def decode(raw: bytes) -> Any:
    """Return the JSON value in `raw`, read as providers write it.

    NaN and infinities are null, halves of surrogate pairs stay, and `data: [DONE]` may follow. Raises `ValueError` or
    `RecursionError` for everything else.
    """
    try:
        return strict(raw)
    except ValueError:
        import json  # noqa: PLC0415 - as above

        text = raw.decode("utf-8-sig").strip()
        value, end = json.JSONDecoder(parse_constant=lambda _: None).raw_decode(text)
        rest = text[end:].lstrip()
        if rest and not rest.startswith("data:"):
            raise
        return value
