#!/usr/bin/env bash
# openai 3.57.0, anthropic 2.14.0, ai 6.0.326 (npm): one Retry-After of an hour, three answers to it.
#
# Guess:     SDKs of one kind treat a 429 that asks for an hour alike, and a
#            request's timeout bounds what the call may take.
# Behaviour: openai's gives up at once (a wait above 120 s is not taken);
#            anthropic's goes to sleep for the hour, whatever its timeout; the
#            JavaScript SDK "ai" ignores a wait above a minute and asks again
#            after its own two seconds. The last two with one repetition allowed.
# Matters:   behind one gateway the same refusal is an error at once, a thread
#            that hangs for an hour, and one more call on a used-up quota.
#
# Output seen:
#   openai:    waits asked for: [], requests: 1
#   anthropic: waits asked for: [3600.0], requests: 2
#   ai:        2 requests, 2 s apart
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0 anthropic==2.14.0
(cd "$dir" && echo '{"type": "module"}' > package.json && npm install --silent ai@6.0.326 @ai-sdk/openai@3.0.141)

"$dir/venv/bin/python" - <<'PY'
import http.server
import sys
import threading
import time

import anthropic
import openai


class Refusing(http.server.BaseHTTPRequestHandler):
    requests = 0

    def do_POST(self):
        Refusing.requests += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'
        self.send_response(429)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {
    "api_key": "none",
    "base_url": f"http://127.0.0.1:{server.server_port}",
    "max_retries": 1,
    "timeout": 5,
}
slept = []


def refused(call):
    """The waits asked of time.sleep, which passes at once here, and the requests that arrived."""
    slept.clear()
    Refusing.requests = 0
    try:
        call()
    except (openai.RateLimitError, anthropic.RateLimitError):
        pass
    return list(slept), Refusing.requests


time.sleep = slept.append
said = [{"role": "user", "content": "Why is the sky blue?"}]
quick = refused(lambda: openai.OpenAI(**options).chat.completions.create(model="m", messages=said))
slow = refused(lambda: anthropic.Anthropic(**options).messages.create(model="m", max_tokens=9, messages=said))
print(f"openai:    waits asked for: {quick[0]}, requests: {quick[1]}")
print(f"anthropic: waits asked for: {slow[0]}, requests: {slow[1]}")
if quick != ([], 1):
    sys.exit("changed: openai no longer gives up at once")
if slow != ([3600.0], 2):
    sys.exit("changed: anthropic no longer sleeps as long as it is told")
PY

cat > "$dir/ask.js" <<'JS'
import http from 'node:http'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText } from 'ai'

const moments = []
const server = http.createServer((request, response) => {
  moments.push(performance.now())
  request.resume().on('end', () => {
    response.writeHead(429, { 'retry-after': '3600', 'content-type': 'application/json' })
    response.end('{"error": {"message": "slow down", "type": "requests"}}')
  })
})
await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
const provider = createOpenAI({ apiKey: 'none', baseURL: `http://127.0.0.1:${server.address().port}` })
await generateText({ model: provider.chat('m'), prompt: 'Why is the sky blue?', maxRetries: 1 }).catch(() => {})
const seconds = (moments.at(-1) - moments[0]) / 1000
console.log(`ai:        ${moments.length} requests, ${seconds.toFixed(0)} s apart`)
if (moments.length !== 2 || seconds > 10) {
  console.error('changed: ai no longer asks again after its own wait')
  process.exit(1)
}
process.exit(0)
JS
node "$dir/ask.js"
