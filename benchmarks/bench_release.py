"""CPU of a request beside the last release's, in turns in one run: a few seconds, for CI.

    python benchmarks/bench_release.py [--rounds 3] [--requests 500] [--seconds 35]

The last release is the newest tag before this commit, or else the last earlier commit that changed `__version__`. It
runs on this environment's Python and libraries, so the ratio is that of the sidecar's own code. Where the history is
missing (a shallow clone), that release does not run so, or the machine needs longer than `--seconds`, one line says so;
the exit code is 0 in any case.
"""

import argparse
import contextlib
import io
import signal
import statistics
import subprocess
import tarfile
import tempfile
from pathlib import Path

from base import THIS, Build
from bench_cost import CONNECTIONS, costs, printed, serving
from rig import ROOT, line

WAYS = ["/ai", "/v1"]


def git(*words: str) -> bytes:
    """Return the output of a git command on this repository; blank where it fails."""
    with contextlib.suppress(OSError):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=False).stdout
    return b""


def last_release() -> tuple[str, str]:
    """Return name and revision of the last release before this commit; blank where the history has none."""
    if tag := git("describe", "--tags", "--abbrev=0", "HEAD^").decode().strip():
        return tag, tag
    commit = git("log", "-1", "--format=%h", "-G^__version__", "HEAD^", "--", "sidecar/__init__.py").decode().strip()
    if not commit:
        return "", ""
    version = git("show", f"{commit}:sidecar/__init__.py").decode().partition('__version__ = "')[2].partition('"')[0]
    return f"{version} ({commit})", commit


def compare(name: str, revision: str, options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with tarfile.open(fileobj=io.BytesIO(git("archive", revision, "sidecar", "worker"))) as archive:
            archive.extractall(folder, filter="data")
        upstream, _ = stack.enter_context(printed("cost_provider.py"))
        found = {"relay": stack.enter_context(printed("relay.py", upstream, str(CONNECTIONS)))}
        for build in (THIS, Build(name, folder, THIS.python)):
            found[build.name] = stack.enter_context(serving(build, upstream, ""))
        spent = costs(found, options)
    for way in WAYS:
        ours, theirs, relay = (spent[way, which] for which in (THIS.name, name, "relay"))
        line(
            f"{way}: CPU a request beside {name}, and beside a bare relay",
            f"{_ratio(ours, theirs):.2f} x, {_ratio(ours, relay):.2f} x  ({statistics.median(ours):.0f} us)",
        )


def _ratio(values: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(values, others, strict=True))


def _too_long(*_: object) -> None:
    raise TimeoutError("this machine is too busy")  # ends the processes too


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=35)
    options = parser.parse_args(namespace=argparse.Namespace(ways=WAYS, streams=0, profile=""))
    name, revision = last_release()
    if not revision:
        print("no last release in this history to compare with")
        return
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(options.seconds)
    try:
        compare(name, revision, options)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - a comparison is never the reason that a build fails
        print(f"no comparison with {name}: {str(exc).partition(chr(10))[0][:200] or type(exc).__name__}")


if __name__ == "__main__":
    main()
