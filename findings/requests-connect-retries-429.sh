#!/usr/bin/env bash
# requests 2.34.2 with urllib3 2.8.0: HTTPAdapter(max_retries=2) repeats requests
# that were answered with 429 or 503.
#
# Guess:     max_retries=2 is about failed connections only, as its documentation
#            says (never requests where data has made it to the server). An
#            answer of any status goes straight to the caller.
# Behaviour: where a 429 or 503 carries Retry-After, the adapter sleeps for that
#            long inside the call and sends the request again, for GET, PUT and
#            DELETE. The same answers without the header, and those to POST, come
#            back at once. The timeout of the request does not cover the sleep.
# Matters:   a caller with its own handling of 429 is held up by the wait of the
#            server's choosing, and the server sees three requests for each one.
#
# Output seen:
#   GET    429 Retry-After: 1 -> 429, 3 requests, 2 s
#   PUT    429 Retry-After: 1 -> 429, 3 requests, 2 s
#   DELETE 503 Retry-After: 1 -> 503, 3 requests, 2 s
#   POST   429 Retry-After: 1 -> 429, 1 requests, 0 s
#   GET    429                -> 429, 1 requests, 0 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    requests==2.34.2 urllib3==2.8.0

"$dir/venv/bin/python" - <<'PY'
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from requests.adapters import HTTPAdapter

asked = []


class Busy(BaseHTTPRequestHandler):
    def answer(self):
        asked.append(self.path)
        _, status, wait = self.path.split("/")
        self.send_response(int(status))
        if wait:
            self.send_header("Retry-After", wait)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_DELETE = do_POST = answer

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = requests.Session()
session.trust_env = False
session.mount("http://", HTTPAdapter(max_retries=2))

seen = []
for method, status, wait in (
    ("GET", 429, "1"), ("PUT", 429, "1"), ("DELETE", 503, "1"), ("POST", 429, "1"), ("GET", 429, ""),
):
    asked.clear()
    start = time.monotonic()
    url = f"http://127.0.0.1:{server.server_port}/{status}/{wait}"
    answer = session.request(method, url, timeout=0.5)
    took = round(time.monotonic() - start)
    header = f"Retry-After: {wait}" if wait else ""
    print(f"{method:6} {status} {header:14} -> {answer.status_code}, {len(asked)} requests, {took} s")
    seen.append((answer.status_code, len(asked), took))
server.shutdown()
if seen != [(429, 3, 2), (429, 3, 2), (503, 3, 2), (429, 1, 0), (429, 1, 0)]:
    sys.exit("changed: another set of answers is repeated")
PY
