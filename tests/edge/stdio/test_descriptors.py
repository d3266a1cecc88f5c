"""Promises of the standard descriptors: replies alone on stdout, little on stderr, nothing breaks without them."""

import fcntl
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.stdio.descriptors import STDERR_BYTES, LimitedStream, has_piped_data
from tests.support.paths import ROOT


def run(code: str, *, before: str = "") -> "subprocess.CompletedProcess[bytes]":
    """Run `code` in Python; `before` is shell that closes descriptors."""
    words = ["sh", "-c", f'exec "$0" -c "$1" {before}', sys.executable, code]
    # An environment of its own: PYTHONUNBUFFERED and the like would change what is promised.
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, env=env, capture_output=True, stdin=subprocess.DEVNULL, check=False)


def test_pipes_sockets_and_files_have_data_for_us(tmp_path: Path) -> None:
    """The three ways in which someone hands over requests."""
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    file = tmp_path / "requests"
    file.touch()
    with os.fdopen(reader), os.fdopen(writer, "w"), one, other, file.open() as opened:
        assert has_piped_data(reader)
        assert has_piped_data(one.fileno())
        assert has_piped_data(opened.fileno())


def test_terminals_null_and_nothing_have_none() -> None:
    """What a container, a unit or a person at a terminal has for stdin."""
    controller, terminal = pty.openpty()
    with os.fdopen(controller, "w"), os.fdopen(terminal, "w"), Path(os.devnull).open() as null:
        assert not has_piped_data(terminal)
        assert not has_piped_data(null.fileno())
        assert not has_piped_data(5000)


def heard(texts: list[str], limit: int) -> bytes:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as end, os.fdopen(writer, "wb"):
        stream = LimitedStream(writer, limit)
        for text in texts:
            assert stream.write(text) == len(text)
            stream.flush()
        os.set_blocking(reader, False)
        return end.read() or b""


@pytest.mark.parametrize("texts", [["x" * 100_000], ["word\n"] * 20_000, ["é\n" * 3, "ü" * 9000, "more"]])
def test_a_limited_stream_ends_with_its_last_words(texts: list[str]) -> None:
    """Up to the limit all is said, then that it is too much, then nothing; the limit counts all of it."""
    said = heard(texts, 1000)
    assert len(said) == 1000
    assert said.endswith(b"(this was too long: nothing more is said here)\n")
    assert "".join(texts).encode().startswith(said[:900])


def test_a_limited_stream_says_short_things_whole() -> None:
    """Odd characters come out in a form that any log takes."""
    assert heard(["one\n", "é \ud800\n"], 1000) == "one\né \\ud800\n".encode()


def test_a_limited_stream_never_waits_for_its_reader() -> None:
    """A full pipe that nobody reads costs the words and nothing else."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        stream = LimitedStream(writer, STDERR_BYTES)
        for _ in range(20):
            stream.write("x" * 1000)


def test_a_limited_stream_outlives_its_reader() -> None:
    """A reader who has left is no error."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", 0):
        stream = LimitedStream(writer, 1000)
        stream.write("into the void")
        stream.write("and again")


def test_nothing_but_the_wire_reaches_stdout() -> None:
    """Not what was printed before, not what is printed after, not what goes to the descriptor itself."""
    done = run("""if True:
        import os, sys
        print("buffered before")
        from sidecar.stdio.descriptors import protect_stdout
        wire = protect_stdout()
        print("printed after", flush=True)
        os.write(1, b"by a library in C")
        sys.__stdout__.write("by the other name")
        os.write(wire, b"reply")
        assert not os.get_inheritable(wire)
        os.system("echo by a child")
    """)
    assert (done.stdout, done.stderr, done.returncode) == (b"reply", b"", 0)


@pytest.mark.parametrize(
    "loud",
    [
        "while n < 100_000: n += sys.stderr.write('x' * 99 + chr(10))",
        "while n < 100_000: n += os.write(2, b'x' * 100)",
        "while n < 100_000: n += sys.__stderr__.write('x' * 100)",
        "raise ValueError('x' * 100_000)",
        "import threading; t = threading.Thread(target=lambda: int('x' * 4000)); t.start(); t.join(); int('y' * 99999)",
        "import warnings\nfor n in range(3000): warnings.warn(f'{n} is a strange number', stacklevel=1)",
        "import logging\nfor n in range(3000): logging.error('%s is a strange number', n)",
        "import faulthandler; faulthandler.enable(2); os.abort()",
        "import atexit; atexit.register(lambda: os.write(2, b'x' * 100_000))",
        "class Odd:\n def __del__(self): raise ValueError('x' * 100_000)\nOdd()",
        "import os; os.system('head -c 100000 /dev/zero >&2')",
    ],
)
def test_stderr_is_short_whatever_happens(loud: str) -> None:
    """At most 16 KiB, lest PHP never reads its end."""
    done = run(f"import os, sys\nfrom sidecar.stdio.descriptors import bound_stderr\nbound_stderr()\nn = 0\n{loud}")
    assert len(done.stderr) <= 16 * 1024
    assert done.stdout == b""


def test_bounds_on_stderr_can_be_lifted() -> None:
    """A server that happens to have a pipe for stdin logs as long as it runs."""
    done = run("""if True:
        import os, sys
        from sidecar.stdio.descriptors import bound_stderr
        undo = bound_stderr(100)
        sys.stderr.write("x" * 200)
        bound_stderr()()
        undo()
        os.write(2, b"y" * 20_000)
        print("z" * 20_000, file=sys.stderr)
    """)
    assert (done.stderr.count(b"y"), done.stderr.count(b"z"), done.returncode) == (20_000, 20_000, 0)


@pytest.mark.parametrize("before", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_missing_are_filled(before: str) -> None:
    """No socket of ours gets a number that a print would write to; replies into nothing fail as a closed pipe."""
    done = run(
        """if True:
        import os, socket, sys
        from sidecar.stdio.descriptors import bound_stderr, has_piped_data, protect_stdout
        assert not has_piped_data()
        bound_stderr()
        closed = sys.__stdout__ is None
        wire = protect_stdout()
        with socket.socket() as made:
            ok = made.fileno() > 2 and wire > 2 and all(os.fstat(n) for n in range(3))
        try:
            os.write(wire, b"reply")
        except BrokenPipeError:
            ok = ok and closed
        sys.exit(0 if ok else 3)
        """,
        before=before,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (b"" if ">&-" in before.replace("2>&-", "") else b"reply")
