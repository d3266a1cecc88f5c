#!/usr/bin/env bash
# undici 7.30.2: with a RetryAgent fetch() rejects where the server answered 429
# to a POST.
#
# Guess:     RetryAgent repeats what may be repeated. A POST may not, so its 429
#            is handed to the caller, as without the agent: a response with
#            status, Retry-After and body. fetch() rejects for network errors
#            alone.
# Behaviour: the request is sent once, but the answer is turned into an error:
#            fetch() rejects with "fetch failed", just as for a refused connection.
#            No response comes with it to read the provider's reason from; the
#            status is on the error's cause. A 400 still comes through.
# Matters:   calls to models are POSTs; adding the agent, meant to make them
#            sturdier, makes a rate limit look like a broken network.
#
# Output seen:
#   Agent      got 429: status 429, retry-after 7, body {"error":"slow down"}, requests 1
#   RetryAgent got 429: TypeError "fetch failed", cause status 429, requests 1
#   RetryAgent got 400: status 400, retry-after 7, body {"error":"slow down"}, requests 1
#   connection refused: TypeError "fetch failed"
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --save-exact undici@7.30.2

cat >check.mjs <<'JS'
import http from 'node:http';
import { Agent, RetryAgent, fetch } from 'undici';

let requests = 0;
const server = http.createServer((request, response) => {
  requests += 1;
  response.writeHead(Number(request.url.slice(1)), { 'retry-after': '7' });
  response.end('{"error":"slow down"}');
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address();

async function post(name, dispatcher, status) {
  requests = 0;
  const url = `http://127.0.0.1:${port}/${status}`;
  let seen;
  try {
    const response = await fetch(url, { dispatcher, method: 'POST', body: '{}' });
    const wait = response.headers.get('retry-after');
    seen = `status ${response.status}, retry-after ${wait}, body ${await response.text()}`;
  } catch (error) {
    seen = `${error.name} "${error.message}", cause status ${error.cause?.statusCode}`;
  }
  seen += `, requests ${requests}`;
  console.log(`${name} got ${status}: ${seen}`);
  return seen;
}

const seen = [
  await post('Agent     ', new Agent(), 429),
  await post('RetryAgent', new RetryAgent(new Agent()), 429),
  await post('RetryAgent', new RetryAgent(new Agent()), 400),
];
await new Promise((resolve) => {
  server.close(resolve);
  server.closeAllConnections();
});
const url = `http://127.0.0.1:${port}/429`;
const refused = await fetch(url, { dispatcher: new Agent(), method: 'POST', body: '{}' }).catch(
  (error) => `${error.name} "${error.message}"`,
);
console.log(`connection refused: ${refused}`);
const answer = (status) => `status ${status}, retry-after 7, body {"error":"slow down"}, requests 1`;
const expected = [answer(429), 'TypeError "fetch failed", cause status 429, requests 1', answer(400)];
if (refused !== 'TypeError "fetch failed"' || seen.join('\n') !== expected.join('\n')) {
  console.error('changed: a 429 to a POST comes out in another way');
  process.exit(1);
}
process.exit(0);
JS
node check.mjs
