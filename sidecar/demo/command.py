"""The command `openai-moodle-sidecar demo-upstream`: flags, descriptors, event loop and signals."""

import argparse
import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import Callable
from typing import Final, get_args, get_type_hints

from sidecar.core.command_line import Parser
from sidecar.demo.options import HEADER, MEANINGS, BadOptionError, Options, changed
from sidecar.demo.server import serve

PORT: Final = 9001
_EPILOG: Final = f"""\
Every option also goes into a running server, as JSON to POST /demo/behave, and into one request: with the header
{HEADER}: latency=2;fail=0.5  or inside the user's text, which passes through a sidecar: [demo latency=2 fail=0.5]
GET /demo/stats counts what happened; POST /demo/reset starts anew.
"""


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 for flags that make no sense or an address in use."""
    try:
        flags = _parser().read(argv)
    except SystemExit as exc:  # argparse has written its line, or the help
        return int(exc.code or 0)
    host, port = flags.pop("host"), flags.pop("port")
    try:
        options = changed(Options(), {name: value for name, value in flags.items() if value is not None})
    except BadOptionError as exc:
        return _wrong(str(exc))
    _raise_descriptor_limit()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve_until_stopped(options, host, port))
    except OSError as exc:
        return _wrong(f"cannot listen on {host}:{port}: {exc.strerror or exc}")
    return 0


async def _serve_until_stopped(options: Options, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(options, host=host, port=port) as demo:
        print(  # noqa: T201 - the command's one line
            f"demo provider on {demo.url}/v1 (canned answers, not a model)", file=sys.stderr, flush=True
        )
        await stop.wait()


def _parser() -> Parser:
    parser = Parser(
        prog="openai-moodle-sidecar demo-upstream",
        description="A provider to rehearse with: OpenAI's shapes, canned answers, and troubles on demand.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=PORT, help=f"port to listen on, 0 picks one ({PORT})")
    for name, hint in get_type_hints(Options, include_extras=True).items():
        flag = f"--{name.replace('_', '-')}"
        if get_args(hint)[0] is bool:
            parser.add_argument(flag, nargs="?", const="true", metavar="true|false", help=MEANINGS[name])
        else:
            parser.add_argument(flag, metavar=name.upper(), help=MEANINGS[name])
    return parser


def _port(text: str) -> int:
    # uvloop takes the last 16 bits of a number that is no port, and listens there.
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError("must be a whole number from 0 to 65535")


def _wrong(message: str) -> int:
    print(f"openai-moodle-sidecar demo-upstream: {message}", file=sys.stderr)  # noqa: T201
    return 2


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - faster where it is installed, not needed
    except ImportError:
        return None
    return uvloop.new_event_loop


def _raise_descriptor_limit() -> None:
    # A burst is thousands of connections, and the usual soft limit is 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
