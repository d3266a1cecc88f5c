#!/usr/bin/env bash
# jiter 0.19.0: in partial mode a value that was there goes away as more of the
# text comes.
#
# Guess:     a longer prefix of the same JSON text gives at least what a shorter
#            one gave: keys appear, and values grow.
# Behaviour: an unfinished number counts as a number while its digits happen to
#            make one, else its key is left out. As 12.5e3 comes in letter by
#            letter, the key is there with 1, then 12, is gone at "12.", back
#            with 12.5, gone again at "12.5e", and back with another value.
# Matters:   an interface that shows or acts on a streamed object sees a field
#            come and go, and takes 1 for a price of 12500.
#
# Output seen:
#   {"cost": 1      -> {'cost': 1}
#   {"cost": 12     -> {'cost': 12}
#   {"cost": 12.    -> {}
#   {"cost": 12.5   -> {'cost': 12.5}
#   {"cost": 12.5e  -> {}
#   {"cost": 12.5e3 -> {'cost': 12500.0}
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check jiter==0.19.0

"$dir/venv/bin/python" - <<'PY'
import sys

import jiter

seen = []
for length in range(1, len("12.5e3") + 1):
    text = '{"cost": ' + "12.5e3"[:length]
    seen.append(jiter.from_json(text.encode(), partial_mode=True))
    print(f"{text:15} -> {seen[-1]}")
if seen != [{"cost": 1}, {"cost": 12}, {}, {"cost": 12.5}, {}, {"cost": 12500.0}]:
    sys.exit("changed: unfinished numbers come out in another way")
PY
