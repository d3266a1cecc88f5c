#!/usr/bin/env bash
# throttled-py 3.5.0: the token bucket refills once a second, all at once.
#
# Guess:     a token bucket of 10 a second gains a token each 0.1 s; that is what
#            sets it apart from a fixed window.
# Behaviour: its clock moves in whole seconds. A drained bucket gets nothing for
#            up to a second and then all 10 tokens at one moment, and where a
#            token is 0.1 s away the refusal says retry_after=1. Two full
#            bursts can lie moments apart, on both sides of a full second. The
#            same library's GCRA with the same quota lets one call through each
#            0.1 s and says so.
# Matters:   who picks the token bucket to spread calls gets a fixed window.
#
# Output seen:
#   token_bucket: retry_after 1.00 when empty, 20 calls passed, at most 10 within 0.1 s
#   gcra:         retry_after 0.10 when empty, 20 calls passed, at most 1 within 0.1 s
#   token_bucket around a full second: 20 calls passed within 0.3 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check throttled-py==3.5.0

"$dir/venv/bin/python" - <<'PY'
import sys
import time

from throttled import Throttled, rate_limiter


def throttle(using):
    return Throttled(key="provider", using=using, quota=rate_limiter.per_sec(10, burst=10))


def passed_within(throttled, seconds):
    """The moments of the calls that passed, one tried each 5 ms."""
    start = time.monotonic()
    passed = []
    while time.monotonic() - start < seconds:
        if not throttled.limit().limited:
            passed.append(time.monotonic() - start)
        time.sleep(0.005)
    return passed


def measure(using):
    throttled = throttle(using)
    while not (result := throttled.limit()).limited:
        pass
    passed = passed_within(throttled, 2)
    crowd = max(sum(at <= other < at + 0.095 for other in passed) for at in passed)
    print(
        f"{using + ':':13} retry_after {result.state.retry_after:.2f} when empty, "
        f"{len(passed)} calls passed, at most {crowd} within 0.1 s"
    )
    return result.state.retry_after, crowd


bucket = measure("token_bucket")
gcra = measure("gcra")

# Two bursts: drain the bucket where its second ends. The refill shows when that is.
throttled = throttle("token_bucket")
while not throttled.limit().limited:
    pass
while throttled.limit().limited:
    time.sleep(0.002)
turn = time.monotonic()
time.sleep(turn + 2 - 0.15 - time.monotonic())  # a bucket left alone is full by now
both = passed_within(throttled, 0.3)
print(f"token_bucket around a full second: {len(both)} calls passed within 0.3 s")

if bucket[0] != 1 or bucket[1] < 9:
    sys.exit("changed: the token bucket no longer refills in whole seconds")
if gcra[0] > 0.11 or gcra[1] > 2:
    sys.exit("changed: GCRA no longer spreads the calls")
if len(both) < 18:
    sys.exit("changed: no two bursts around a full second")
PY
