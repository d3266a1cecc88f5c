#!/usr/bin/env bash
# @hono/node-server 1.19.19: once a server is made, a copy of a fetched response can no
# longer be changed.
#
# Guess:     new Response(fetched.body, fetched) has headers of its own, which can be
#            changed; this is the usual way to pass a response on with one header more.
# Behaviour: serve() and createAdaptorServer() replace the global Response by one that
#            keeps the fetched response's own headers, and these are read-only:
#            headers.append() is a "TypeError: immutable". 1.14.1 and 2.1.9 behave as one
#            would guess.
# Matters:   a gateway fails in this way only after the call behind it was made and paid
#            for. @portkey-ai/gateway 1.15.2 asks for ^1.3.3 and, newly installed, answers
#            every stream with 500; with @hono/node-server 1.14.1 streams pass.
#
# Output seen:
#   without the package: x-seen: yes
#   @hono/node-server 1.14.1: x-seen: yes
#   @hono/node-server 1.19.19: TypeError: immutable
#   @hono/node-server 2.1.9: x-seen: yes
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for version in 1.14.1 1.19.19 2.1.9; do
    npm install --silent --no-audit --no-fund --prefix "$version" \
        "@hono/node-server@$version" hono@4.13.19 >/dev/null
done

cat >try.mjs <<'JS'
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [name, folder] = process.argv.slice(2);
const origin = createServer((_, reply) => reply.end("hello"));
await new Promise((listening) => origin.listen(0, "127.0.0.1", listening));
if (folder) {
  const { createAdaptorServer } = createRequire(`${folder}/`)("@hono/node-server");
  createAdaptorServer({ fetch: () => new Response("unused") });
}
const fetched = await fetch(`http://127.0.0.1:${origin.address().port}/`);
const copy = new Response(fetched.body, fetched);
let seen;
try {
  copy.headers.append("x-seen", "yes");
  seen = `x-seen: ${copy.headers.get("x-seen")}`;
} catch (error) {
  seen = `${error.name}: ${error.message}`;
}
console.log(`${name}: ${seen}`);
await copy.text();
origin.close();
origin.closeAllConnections();
JS

{
    node try.mjs "without the package"
    for version in 1.14.1 1.19.19 2.1.9; do
        node try.mjs "@hono/node-server $version" "$dir/$version"
    done
} | tee seen
if [ "$(grep -c 'x-seen: yes' seen)" != 3 ] || ! grep -q '1.19.19: TypeError: immutable' seen; then
    echo "changed: the copy's headers" >&2
    exit 1
fi
