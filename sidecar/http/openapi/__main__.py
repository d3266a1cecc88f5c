"""Writes `openapi.json` anew: `make openapi`."""

from pathlib import Path

from sidecar.http.openapi.document import rendered

Path(__file__).with_name("openapi.json").write_bytes(rendered())
