#!/usr/bin/env bash
# backoff 2.2.1: a wait taken from a reply's Retry-After is cut short at random.
#
# Guess:     `backoff.runtime` is there for servers that name a wait: with
#            `value=` returning the Retry-After of 1 second, each repetition
#            comes a second or a little more after the refusal.
# Behaviour: the decorators' default jitter, `full_jitter`, is applied to it as
#            to any other wait: the sleep is a random part of what the server
#            asked for, a few milliseconds at times. `jitter=None` keeps it whole.
# Matters:   a client that reads Retry-After as the library offers it comes back
#            too early nearly always; several providers count refused calls too.
#
# Output seen:
#   default jitter: waits of 0.39, 0.49, 0.11, 0.13, 0.05 s where 1 s was asked for
#   jitter=None:    waits of 1.00, 1.00 s
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check backoff==2.2.1

"$dir/venv/bin/python" - <<'PY'
import sys
import time

import backoff


class Refusal(Exception):
    retry_after = 1.0


def waits(tries, **options):
    """The seconds between the tries of a call that is refused each time."""
    moments = []

    @backoff.on_exception(
        backoff.runtime, Refusal, value=lambda refusal: refusal.retry_after, max_tries=tries, **options
    )
    def call():
        moments.append(time.monotonic())
        raise Refusal

    try:
        call()
    except Refusal:
        pass
    return [later - earlier for earlier, later in zip(moments, moments[1:])]


def show(name, found):
    print(f"{name:15} waits of {', '.join(f'{wait:.2f}' for wait in found)} s")
    return found


cut = show("default jitter:", waits(6))
whole = show("jitter=None:", waits(3, jitter=None))
if min(cut) > 0.98:
    sys.exit("changed: the wait asked for is kept with the default jitter")
if min(whole) < 0.98:
    sys.exit("changed: jitter=None no longer keeps the wait")
PY
