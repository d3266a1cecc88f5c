#!/bin/sh
# Makes the Python environment of this checkout, and is silent if it is up to date: `venv.sh run` for serving (.venv,
# from requirements.lock), `venv.sh dev` for tests (.venv-dev, from requirements-dev.lock).
# .venv is a link to a finished environment under .venvs, which is named after its inputs. So the environment in use
# stays untouched until an install has succeeded, and a return to the previous version costs nothing.
set -eu
umask 022                   # the web server's user runs the command too
unset PYTHONPATH PYTHONHOME # pip would take packages found there for installed

say() { printf '%s\n' "$*" >&2; }

# Sets `version` to the major.minor of the Python $1; fails if $1 does not run.
read_version() {
    version=$("$1" -V 2>&1) || return 1
    version=${version#Python }
    minor=${version#*.}
    version=${version%%.*}.${minor%%[!0-9]*}
}

# Sets `python` to the first suitable Python. PYTHON, if set, is the only candidate.
find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.14 python3.13 python3.12 python3.11; fi
    old='' bare=''
    for python; do
        read_version "$python" || continue
        case $version in
        3.1[1-9] | 3.[2-9][0-9])
            "$python" -c 'import ensurepip, venv' 2>/dev/null && return
            bare="$bare${bare:+ or }${python##*/}-venv"
            ;;
        *) old="$old${old:+, }$python is Python $version" ;;
        esac
    done
    if [ -n "$bare" ]; then
        say "Python is here, but without its venv module: install the package $bare (that is its name on Debian" \
            "and Ubuntu), then start again."
    else
        say "Python 3.11 or newer is needed; here ${old:-there is no ${PYTHON:-python3}}. Install a newer Python," \
            "or name one as in PYTHON=/path/to/python3.13, then start again."
    fi
    return 1
}

# Prints the environment for Python $1, named after its requirements and then the project. Hashes have a fixed length.
named() {
    printf '.venvs/%s-%s-%s\n' "$kind" "$(made_from "$1")" "$(project)"
}

# Prints a hash of the requirements' inputs: Python, this script, the lock, and the checkout's path (commands hold it).
made_from() {
    { printf '%s\n' "$1" "$root" && cat scripts/venv.sh "$lock"; } | sha256sum | cut -c 1-12
}

# Prints a hash of the project's inputs: pyproject.toml and, for a copied install, the code.
project() {
    if [ "$kind" = dev ]; then set -- pyproject.toml; else set -- pyproject.toml sidecar worker; fi
    find "$@" -type f ! -name '*.pyc' -exec sha256sum {} + | sort | sha256sum | cut -c 1-12
}

ready() {
    read_version "$link/bin/python" 2>/dev/null || return 1
    here=$version
    if [ -n "${PYTHON:-}" ]; then { read_version "$PYTHON" && [ "$version" = "$here" ]; } || return 1; fi
    [ "$(readlink "$link")" = "$(named "$here")" ] && is_complete "$link"
}

is_complete() {
    [ -x "$1/bin/openai-moodle-sidecar" ] && [ -e "$1/project" ]
}

has_requirements() {
    [ -e "$1/requirements" ] && read_version "$1/bin/python" 2>/dev/null
}

# Waits for another install in this checkout. The kernel frees the lock when this process and its pip are gone.
take_turn() {
    exec 9>.venvs/lock
    "$python" -c '
import fcntl, sys
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.stderr.write("Waiting for an install that another start is doing ...\n")
    fcntl.flock(9, fcntl.LOCK_EX)
' 9>&9
}

# Runs pip and keeps what it says in .venvs/said, for `explain`. Success is a file, since a pipe has tee's exit code.
pip_install() {
    rm -f .venvs/done
    {
        "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" 2>&1 && : >.venvs/done
    } | tee .venvs/said >&2
    [ -e .venvs/done ]
}

# Prints an environment with the same requirements, if there is one.
find_same() {
    for other in "${home%-*}"-*; do
        if has_requirements "$other" && is_complete "$other"; then
            printf '%s\n' "$other"
            return
        fi
    done
}

# Makes the new environment from $1 without an index: a copy, in whose commands the path is replaced.
copy_requirements() {
    rm -rf .venvs/part "$home"
    cp -a "$1" .venvs/part
    rm -f .venvs/part/project
    "$python" -c '
import pathlib, sys
old, new = (name.encode() for name in sys.argv[1:])
for path in pathlib.Path(".venvs/part/bin").iterdir():
    if path.is_file() and not path.is_symlink() and old in (text := path.read_bytes()):
        path.write_bytes(text.replace(old, new))
' "${1##*/}" "${home##*/}"
    mv .venvs/part "$home"
}

# Says where the Python of a service is out of other users' reach.
warn_of_home() {
    real=$(readlink -f -- "$(command -v "$python")")
    case $kind:$real in
    run:/root/* | run:/home/*)
        say "$real is in a home, which PHP's user and the systemd unit cannot read: for them, start with" \
            "PYTHON=/usr/bin/python3 (the distribution's Python, 3.11 or newer)."
        ;;
    esac
}

install_requirements() {
    say "Installing what $lock lists (first start, or something changed) ..."
    warn_of_home
    rm -rf "$home"
    "$python" -m venv "$home" >&2
    # Never from source: the lock does not cover what a build fetches.
    pip_install --require-hashes --only-binary :all: -r "$lock"
    # This file imports a hook of setuptools at every start of Python: a quarter of a one-shot process's start.
    rm -f "$home"/lib/python*/site-packages/distutils-precedence.pth
    : >"$home/requirements"
}

install_project() {
    rm -f "$home/project"
    if [ "$kind" = dev ]; then
        pip_install --no-deps --no-build-isolation --editable .
    else
        # A copy with compiled bytecode starts faster than the tree. The build runs in a copy of the source, since
        # setuptools would leave build/ in the tree and later install deleted modules from there.
        rm -rf "$home/source"
        mkdir "$home/source"
        cp -R pyproject.toml README.md LICENSE sidecar worker "$home/source"
        pip_install --no-deps --no-build-isolation --force-reinstall "$home/source"
        rm -rf "$home/source"
    fi
    : >"$home/project"
}

# Points the link at the new environment in one step, and keeps the previous one, from which a process may still run.
publish() {
    before=$(readlink "$link" || :)
    if [ "$before" != "$home" ]; then
        ln -sfn "$home" "$link.new"
        mv -fT "$link.new" "$link"
    fi
    for other in .venvs/"$kind"-*; do
        case $other in "$home" | "$before") ;; *) rm -rf "$other" ;; esac
    done
}

explain() {
    code=$?
    [ "$code" = 0 ] || say "The install did not finish: $(cause). Then start again."
    exit "$code"
}

# Prints why an install may have failed, and what to do.
cause() {
    said=$(cat .venvs/said 2>/dev/null || :)
    if is_full; then said='No space left on device'; fi
    case $said in
    *'No space left on device'* | *'Disk quota exceeded'*)
        printf '%s' "the disk is full. Make room for about 400 MB in $root/.venvs, or where TMPDIR points"
        ;;
    *CERTIFICATE_VERIFY_FAILED*)
        printf '%s' "the package index shows a certificate that is not trusted here. Name your CA's file in PIP_CERT"
        ;;
    *'Failed to establish a new connection'* | *NameResolutionError* | *ConnectTimeoutError* | *ProxyError* | \
        *'Cannot connect to proxy'* | *'Connection refused'* | *'Network is unreachable'* | *ReadTimeoutError* | \
        *'(from versions: none)'*)
        printf '%s' "no package index that has these packages could be reached. Give this machine a way out" \
            " (HTTPS_PROXY), or name a mirror of your own in PIP_INDEX_URL"
        ;;
    *) printf '%s' "the lines above say why. Mend that" ;;
    esac
}

is_full() {
    "$python" -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free > 2**20)' 2>/dev/null
}

kind=${1:-}
case $kind in
run) link=.venv lock=requirements.lock ;;
dev) link=.venv-dev lock=requirements-dev.lock ;;
*)
    say "usage: $0 run|dev"
    exit 2
    ;;
esac
case ${PYTHON:-} in
/*) ;;
*/*) PYTHON=$PWD/$PYTHON ;;
esac
root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
cd -- "$root"

if ready; then exit 0; fi
find_python
if [ -d "$link" ] && [ ! -L "$link" ]; then
    say "$root/$link is a folder that this script did not make: move it away, then start again."
    exit 1
fi
if ! why=$(mkdir -p .venvs 2>&1) || [ ! -w .venvs ]; then
    say "Nothing can be written to $root/.venvs${why:+ ($why)}: start once as the user who owns this folder, on a file" \
        "system that takes writes and has 400 MB free; after that it may be read-only."
    exit 1
fi
take_turn
if ready; then exit 0; fi
read_version "$python"
home=$(named "$version")
trap explain EXIT
if ! has_requirements "$home"; then
    same=$(find_same)
    if [ -n "$same" ]; then copy_requirements "$same"; else install_requirements; fi
fi
if ! is_complete "$home"; then install_project; fi
publish
