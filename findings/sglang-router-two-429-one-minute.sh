#!/usr/bin/env bash
# sglang-router 0.3.2: two calls that the worker refused with 429 make the router refuse
# every call with 503 for a minute.
#
# Guess:     429 says that the worker is well and busy. The router hands it on (with one
#            worker there is no other), and the next call is tried again.
# Behaviour: each refused call is tried five times within half a second, and each 429
#            counts as a failure of the worker: after ten the circuit is open for 60 s. All
#            callers get 503 "No available workers" and no Retry-After, though the worker
#            would have answered the third call. smg 1.13.0 behaves alike; vllm-router
#            0.1.17 does not open.
# Matters:   a short burst over the limit becomes an outage of a minute, and who waits as
#            the 429 asked (Retry-After: 1) meets it. --disable-retries with
#            --disable-circuit-breaker hands each 429 on.
#
# Output seen:
#   as installed: 429 429 503, calls at the worker: 10
#   without retries and circuit breaker: 429 429 200, calls at the worker: 3
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check sglang-router==0.3.2

"$dir/venv/bin/python" - "$dir" <<'PY'
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "unknown",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    busy = True
    calls = 0

    def reply(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        self.reply(200, {})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Worker.calls += 1
        if Worker.busy:
            self.reply(429, {"error": {"message": "slow down", "type": "requests"}})
        else:
            self.reply(200, ANSWER)

    def log_message(self, *args):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status(url, body=None):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def run(name, *flags):
    Worker.busy, Worker.calls = True, 0
    port = free_port()
    router = subprocess.Popen(
        [f"{folder}/venv/bin/sglang-router", "launch", "--host", "127.0.0.1", "--port", str(port),
         "--worker-urls", f"http://127.0.0.1:{worker.server_port}", "--prometheus-port", str(free_port()), *flags],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 20
        while status(f"{url}/v1/models") != 200 and time.monotonic() < end:
            time.sleep(0.1)
        body = json.dumps({"model": "unknown", "messages": [{"role": "user", "content": "hi"}]}).encode()
        seen = [status(f"{url}/v1/chat/completions", body) for _ in range(2)]
        Worker.busy = False
        time.sleep(1)  # as its Retry-After asked
        seen.append(status(f"{url}/v1/chat/completions", body))
    finally:
        router.kill()
        router.wait()
    print(f"{name}: {' '.join(map(str, seen))}, calls at the worker: {Worker.calls}")
    return seen


worker = ThreadingHTTPServer(("127.0.0.1", 0), Worker)
threading.Thread(target=worker.serve_forever, daemon=True).start()
usual = run("as installed")
bare = run("without retries and circuit breaker", "--disable-retries", "--disable-circuit-breaker")
worker.shutdown()
if usual != [429, 429, 503] or bare != [429, 429, 200]:
    sys.exit("changed: what two refusals do to the next call")
PY
