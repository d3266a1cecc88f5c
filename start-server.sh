#!/bin/sh
# Serves Moodle's AI requests over HTTP: on a fresh machine it first makes .venv and installs what
# requirements.lock lists. Flags go to the program (--demo needs no key); --help lists them. A first word without a dash
# is a command of the program, such as doctor.
set -eu
root=$(dirname -- "$(readlink -f -- "$0")")
sh "$root/scripts/venv.sh" run
case ${1:--} in -*) set -- --http-mode "$@" ;; esac
exec "$root/.venv/bin/openai-moodle-sidecar" "$@"
