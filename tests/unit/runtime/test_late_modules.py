"""Modules that are loaded at their first use: until then a stand-in lies in their place."""

import asyncio
import os
import subprocess
import sys

import pytest

from sidecar.runtime.late_modules import LATE, LateModule
from tests.support.paths import ROOT

BEGIN = """
import sys
from sidecar.runtime.late_modules import LATE, LateModule, import_late, import_msgspec
for name in LATE:
    sys.modules.pop(name, None)  # an environment may have loaded it before
import_late()
import_msgspec()
"""


def said(code: str) -> str:
    """Return what a fresh Python prints that runs `code` after `import_late`; a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", BEGIN + code]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}  # reads source lines
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_event_loop_and_json_leave_the_stand_ins_where_they_are() -> None:
    """Nothing that a request over http:// runs through loads one of them."""
    code = """
import asyncio, msgspec, signal, socket
async def main():
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    ours, theirs = socket.socketpair()
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    await reader.read()
    writer.close()
asyncio.run(main())
msgspec.json.decode(msgspec.json.encode({"a": [1.5, None]}))
print([name for name in LATE if not isinstance(sys.modules[name], LateModule)], "typing_extensions" in sys.modules)
"""
    assert said(code) == "[] False"


def test_each_is_the_module_itself_once_it_is_used() -> None:
    """From anywhere: by those that hold the stand-in, and by those that import it afterwards."""
    code = """
from importlib import import_module
used = {"asyncio.sslproto": "SSLProtocol", "inspect": "signature", "ipaddress": "ip_address", "linecache": "getline",
        "platform": "machine", "ssl": "SSLContext", "subprocess": "Popen", "textwrap": "dedent"}
held = {name: sys.modules[name] for name in LATE}
for name, late in held.items():
    found = getattr(late, used[name])
    module = import_module(name)
    assert not isinstance(module, LateModule) and found is getattr(module, used[name]), name
import asyncio.sslproto, typing_extensions
print("all", asyncio.sslproto.SSLProtocol.__module__, typing_extensions.Self)
"""
    assert said(code).startswith("all asyncio.sslproto typing.Self")


def test_tls_works_behind_a_stand_in() -> None:
    """The first https:// call loads what it needs, and asyncio uses it."""
    code = """
import asyncio
async def main():
    import ssl
    server = await asyncio.start_server(lambda reader, writer: writer.write(b"no TLS"), "127.0.0.1", 0)
    try:
        await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=ssl.create_default_context())
    except ssl.SSLError as exc:
        print(type(exc).__name__)
asyncio.run(main())
"""
    assert said(code) == "SSLError"


def test_two_threads_load_a_module_once() -> None:
    """Whoever comes second waits for the first."""
    code = """
import threading
late, found, ready = sys.modules["inspect"], [], threading.Barrier(8)
def use():
    ready.wait()
    found.append((late.signature, sys.modules["inspect"]))
threads = [threading.Thread(target=use) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), len(set(found)))
"""
    assert said(code) == "8 1"


def test_a_stand_in_answers_as_the_module_would() -> None:
    """What is asked for at every start is answered without the module."""
    import inspect
    import platform
    import subprocess as real

    assert LATE["platform"]["system"]() == platform.system()
    assert all(getattr(real, name) == value for name, value in LATE["subprocess"].items())

    async def coroutine() -> None: ...

    for function in (
        coroutine,
        print,
        len,
        asyncio.sleep,
        test_tls_works_behind_a_stand_in,
        LateModule,
        int.bit_length,
    ):
        assert LATE["inspect"]["iscoroutinefunction"](function) is inspect.iscoroutinefunction(function)


def test_a_name_that_the_module_lacks_is_missing() -> None:
    """As from the module itself."""
    with pytest.raises(AttributeError, match="no_such_name"):
        LateModule("textwrap").no_such_name  # noqa: B018
