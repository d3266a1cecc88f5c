#!/usr/bin/env bash
# prometheus-client 0.26.0: without /proc/stat the process metrics vanish, all
# of them and without a word.
#
# Guess:     a service in a unit with ProcSubset=pid, where /proc holds its own
#            processes only, loses at most the start time, which is the one
#            number that needs the machine's /proc/stat.
# Behaviour: ProcessCollector reads the boot time once; where that fails it
#            collects nothing: no memory, no CPU time, no descriptors. Nothing
#            is raised or logged.
# Matters:   hardened units (systemd's own advice) lose memory and descriptor
#            alerts: a rule on a missing series never fires.
#
# Output seen:
#   /proc as it is       6 metrics
#   /proc without stat   0 metrics
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0

"$dir/venv/bin/python" - "$dir" <<'PY'
import os
import shutil
import sys

from prometheus_client import CollectorRegistry, ProcessCollector


def count(proc: str) -> int:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry, proc=proc)
    return len(list(registry.collect()))


# What ProcSubset=pid leaves: the process's own folder.
proc = sys.argv[1] + "/proc"
os.makedirs(proc + "/self/fd")
for name in ("stat", "limits", "status"):
    shutil.copy(f"/proc/self/{name}", f"{proc}/self/{name}")
seen = count("/proc"), count(proc)
print(f"/proc as it is       {seen[0]} metrics\n/proc without stat   {seen[1]} metrics")
if seen[0] < 5 or seen[1] != 0:
    sys.exit("changed: some metrics are left without /proc/stat")
PY
