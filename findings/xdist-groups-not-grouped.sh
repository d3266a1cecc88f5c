#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: --dist loadgroup groups nothing.
#
# Guess:     tests marked with xdist_group("one") run in one worker, one after
#            another; a version of pytest in which that cannot work is refused
#            or warned about.
# Behaviour: the tests are spread over all workers, without a word. xdist
#            appends the group to the attribute `_nodeid` of each test, and
#            pytest 9.2 makes `nodeid` from another attribute.
# Matters:   groups keep tests apart that share a port, a file or a count; they
#            fail now and then, and each of them passes when run alone.
#
# Output seen:
#   groups known to xdist: 1, workers that ran its 8 tests: 2
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0

cat >"$dir/test_group.py" <<'PY'
import os
import pathlib
import time

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_of_the_group(number):
    (HERE / f"ran-{number}").write_text(os.environ["PYTEST_XDIST_WORKER"])
    time.sleep(0.1)
PY
cd "$dir"
"$dir/venv/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup test_group.py >"$dir/out"
workers=$(sort -u ran-* | grep -o 'gw[0-9]*' | sort -u | wc -l)
echo "groups known to xdist: 1, workers that ran its 8 tests: $workers"
[ "$workers" = 2 ] || { echo "changed: the group ran in $workers worker"; exit 1; }
