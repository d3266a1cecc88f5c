#!/usr/bin/env bash
# stamina 26.1.0 with tenacity 9.2.1: a wait given by the backoff hook goes past
# the timeout, and the call is made once more after it.
#
# Guess:     timeout is the most that all tries and waits take together. A hook
#            that asks for a longer wait (a Retry-After) is cut to what is left,
#            or the error is raised at once since no try can come in time.
# Behaviour: the clock is looked at only before a wait begins. With
#            timeout=0.3 and a hook that says 1.5 s, stamina sleeps the
#            1.5 s, calls again at five times the timeout, and raises only then.
#            wait_max does not bound the hook's wait either.
# Matters:   whoever asked has gone by then; a provider that names a long
#            Retry-After decides how long the caller's task is held and gets
#            a call that nobody waits for.
#
# Output seen:
#   timeout=0.3, wait_max=0.1, hook says 1.5 s
#   calls made at: 0.0 s, 1.5 s; error raised at 1.5 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
    stamina==26.1.0 tenacity==9.2.1

"$dir/venv/bin/python" - <<'PY'
import asyncio
import sys
import time

import stamina


class Busy(Exception):
    retry_after = 1.5


def hook(exc):
    return exc.retry_after if isinstance(exc, Busy) else False


calls = []


@stamina.retry(on=hook, attempts=5, timeout=0.3, wait_max=0.1)
async def call():
    calls.append(time.monotonic() - start)
    raise Busy


start = time.monotonic()
try:
    asyncio.run(call())
except Busy:
    raised = time.monotonic() - start
print("timeout=0.3, wait_max=0.1, hook says 1.5 s")
print(f"calls made at: {', '.join(f'{at:.1f} s' for at in calls)}; error raised at {raised:.1f} s")
if not (len(calls) == 2 and calls[1] >= 1.5 and raised >= 1.5):
    sys.exit("changed: the hook's wait is held to the timeout")
PY
