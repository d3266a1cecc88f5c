#!/usr/bin/env bash
# prometheus-client 0.26.0: an Accept header whose version is a quoted string
# makes the choice of the format fail.
#
# Guess:     version=1.0.0 and version="1.0.0" mean the same (RFC 9110, 5.6.6),
#            and an unknown version falls back to one that the library speaks.
# Behaviour: choose_encoder() raises TypeError on the quoted form, of either
#            format, and announces version=9.9 when a scraper names that.
# Matters:   the library's own servers and most applications hand the header
#            over as it came: a scraper or proxy that quotes gets a 500 and no
#            metric, and one that offers a future version gets today's text
#            under tomorrow's name.
#
# Output seen:
#   application/openmetrics-text; version=1.0.0    application/openmetrics-text; version=1.0.0
#   application/openmetrics-text; version="1.0.0"  TypeError
#   text/plain; version="0.0.4"                    TypeError
#   application/openmetrics-text; version=9.9      application/openmetrics-text; version=9.9
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0

"$dir/venv/bin/python" - <<'PY'
import sys

from prometheus_client.exposition import choose_encoder

seen = []
for accept in (
    "application/openmetrics-text; version=1.0.0",
    'application/openmetrics-text; version="1.0.0"',
    'text/plain; version="0.0.4"',
    "application/openmetrics-text; version=9.9",
):
    try:
        answer = "; ".join(choose_encoder(accept)[1].split("; ")[:2])
    except TypeError as exc:
        answer = type(exc).__name__
    seen.append(answer)
    print(f"{accept:46} {answer}")

format = "application/openmetrics-text; version="
if seen != [f"{format}1.0.0", "TypeError", "TypeError", f"{format}9.9"]:
    sys.exit("changed: quoted or unknown versions are read in another way")
PY
