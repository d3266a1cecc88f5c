#!/usr/bin/env bash
# openai 3.57.0 with httpx2 2.16.2: a stream that is answered with plain JSON is
# an empty stream, with no error.
#
# Guess:     a server that does not stream answers stream=True with one JSON
#            object of type application/json. The SDK sees that type and raises,
#            or hands the object on as a single chunk.
# Behaviour: it reads the JSON as an event stream, finds no event in it and ends:
#            no chunk, no exception, for a full answer as for an error
#            object sent with status 200. Without stream=True the answer is read.
# Matters:   where a model server or a cache in between does not stream, the
#            caller shows an empty reply, and pays for the one thrown away.
#
# Output seen:
#   stream=True, answer: 0 chunks, no error
#   stream=True, error object: 0 chunks, no error
#   stream=False, answer: 'hello'
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    openai==3.57.0 httpx2==2.16.2

"$dir/venv/bin/python" - <<'PY'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI

ANSWER = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "small",
    "choices": [{
        "index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "hello"},
    }],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
ERROR = {"error": {"message": "out of memory", "type": "server_error", "code": None}}


class Server(BaseHTTPRequestHandler):
    reply = ANSWER

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(self.reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0)
question = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}]}


def stream(what):
    try:
        chunks = len(list(client.chat.completions.create(**question, stream=True)))
        told = f"{chunks} chunks, no error"
    except Exception as exc:
        told = type(exc).__name__
    print(f"stream=True, {what}: {told}")
    return told


seen = [stream("answer")]
Server.reply = ERROR
seen.append(stream("error object"))
Server.reply = ANSWER
plain = client.chat.completions.create(**question).choices[0].message.content
print(f"stream=False, answer: {plain!r}")
server.shutdown()
if seen != ["0 chunks, no error"] * 2 or plain != "hello":
    sys.exit("changed: JSON in place of a stream is noticed")
PY
