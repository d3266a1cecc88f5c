"""Modules that are loaded at their first use: until then a stand-in lies in their place."""

import asyncio
import logging
import os
import subprocess
import sys
from importlib import import_module

import pytest

from sidecar.runtime.late_module import LATE, LateModule
from tests.support.paths import ROOT

BEGIN = """
import sys
from sidecar.runtime.late_module import LATE, LateModule, when_loaded
from sidecar.runtime.late_modules import import_all, import_late, import_msgspec
for name in LATE:
    sys.modules.pop(name, None)  # an environment may have loaded it before
import_late()
import_msgspec(late=True)
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
used = {"__future__": "all_feature_names", "array": "array", "asyncio.base_subprocess": "WriteSubprocessPipeProto",
        "asyncio.sslproto": "SSLProtocol", "asyncio.staggered": "staggered_race", "asyncio.subprocess": "Process",
        "asyncio.taskgroups": "exceptions", "asyncio.threads": "functools", "concurrent.futures": "ThreadPoolExecutor",
        "datetime": "__file__", "inspect": "signature", "ipaddress": "ip_address", "linecache": "getline",
        "logging": "Handler", "msgspec._json_schema": "Final", "msgspec.inspect": "type_info",
        "msgspec.toml": "decode", "msgspec.yaml": "decode", "signal": "Signals",
        "ssl": "SSLContext", "subprocess": "Popen", "traceback": "format_exc"}
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

    for name in ("concurrent.futures", "datetime", "signal", "subprocess"):
        plain = {word: value for word, value in LATE[name].items() if isinstance(value, (int, str))}
        assert {word: getattr(import_module(name), word) for word in plain} == plain
        assert plain
    for name in ("DEBUG", "INFO", "WARNING", "ERROR"):
        assert LATE["logging"][name] == getattr(logging, name)
    for name in ("asyncio.subprocess", "asyncio.taskgroups", "asyncio.threads"):
        *words, own = LATE[name]["__all__"]
        assert sorted(words) == sorted(import_module(name).__all__)
        assert own == name.rpartition(".")[2]

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


def test_what_asyncio_passes_on_from_them_works() -> None:
    """A group of tasks, a thread and a signal's name are there for whoever uses them."""
    code = """
import asyncio, signal
async def main():
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.to_thread(lambda: signal.Signals(15).name))
    await asyncio.wait([task], return_when=asyncio.FIRST_COMPLETED)
    print(task.result(), type(sys.modules["asyncio.taskgroups"]).__name__)
asyncio.run(main())
"""
    assert said(code) == "SIGTERM module"


def test_modules_below_a_package_are_found() -> None:
    """The stand-in of a package becomes the package when a module below is imported."""
    code = """
import concurrent.futures.thread
import logging.handlers
print(concurrent.futures.thread.ThreadPoolExecutor.__name__, logging.handlers.QueueHandler.__name__)
"""
    assert said(code) == "ThreadPoolExecutor QueueHandler"


def test_the_log_is_configured_before_its_first_line() -> None:
    """A library's warning loads `logging`, and appears as the log was configured; what is below loads nothing."""
    code = """
import logging
from sidecar.core import events
log, late = logging.getLogger("asyncio"), sys.modules["logging"]
def configure():
    from sidecar.runtime.log import configure
    configure(sys.stdout, level="warning", as_json=True)
when_loaded("logging", configure)
log.debug("a user's text")
log.info("a user's text")
events.info("started")
assert sys.modules["logging"] is late and "sidecar.runtime.log" not in sys.modules
log.warning("Executing %s", "a user's text")
events.info("started")
events.warning("here", number=1)
"""
    library, ours = said(code).splitlines()
    assert '"event":"library","logger":"asyncio","message":"Executing %s"' in library
    assert '"level":"warning","event":"here","number":1' in ours


def test_a_module_that_is_there_is_not_waited_for() -> None:
    """What is to follow a module's import follows at once."""
    code = """
when_loaded("inspect", lambda: print("then"))
print("first")
sys.modules["inspect"].signature
sys.modules["ipaddress"].ip_address
when_loaded("ipaddress", lambda: print("at once"))
"""
    assert said(code).split("\n") == ["first", "then", "at once"]


def test_a_server_has_the_modules_themselves() -> None:
    """Standard input may be piped where HTTP_MODE=true says HTTP: nothing stays a stand-in then."""
    code = """
import_all()
import asyncio, msgspec
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0], [name for name in LATE if isinstance(sys.modules[name], LateModule)])
asyncio.run(main())
"""
    assert said(code) == "b'1\\n' []"


def test_who_comes_after_msgspec_gets_the_types_that_it_did_not() -> None:
    """The types that nothing of ours has are missing in msgspec alone."""
    code = """
import msgspec
assert "uuid" not in sys.modules and "decimal" not in sys.modules
import decimal, uuid
print(decimal.Decimal("1.10"), uuid.UUID(int=1))
"""
    assert said(code) == "1.10 00000000-0000-0000-0000-000000000001"
