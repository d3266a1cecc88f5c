"""A real nginx for tests, with the shipped server block in it. No promises here."""

import asyncio
import os
import shutil
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.http_sidecar import Caller
from tests.support.paths import ROOT

BLOCK = ROOT / "deploy/nginx-moodle-ai.conf"
ADDRESS = "127.77.0.1"
# Debian installs nginx in a folder that is only on root's PATH.
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin") or ""
needs_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed (Debian: apt install nginx)")

_AROUND = """
daemon off; worker_processes 1; error_log stderr; pid nginx.pid; {user}
events {{ worker_connections 256; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{block}
{beside}
}}
"""


class Front:
    """An nginx with the block, on a free port."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def call(self, address: str = ADDRESS) -> Caller:
        return await Caller.connect(address, self.port, described=False)  # nginx has replies of its own


@asynccontextmanager
async def front(folder: Path, sidecar: int, *, beside: str = "", **changed: str) -> AsyncIterator[Front]:
    """Run the block in front of the port `sidecar`, with other values for the directives `changed`."""
    # Beside a server on every address nginx itself listens on all of them.
    listener = socket.create_server(("0.0.0.0" if beside else ADDRESS, 0))
    port = listener.getsockname()[1]
    block = _replaced(BLOCK.read_text("utf-8"), f"{ADDRESS}:80;", f"{ADDRESS}:{port};")
    block = _replaced(block, "127.0.0.1:8081;", f"127.0.0.1:{sidecar};")
    for name, value in changed.items():
        old = next(line.strip() for line in block.splitlines() if line.strip().startswith(f"{name} "))
        block = _replaced(block, old, f"{name} {value};")
    file = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are their owner's only
    file.write_text(_AROUND.format(block=block, user=user, beside=beside.replace("{port}", str(port))))
    process = await asyncio.create_subprocess_exec(
        NGINX,
        "-p",
        folder,
        "-c",
        file,
        env={"NGINX": f"{listener.fileno()};"},
        pass_fds=[listener.fileno()],
        stderr=PIPE,
    )
    # It takes over a socket that listens already: a caller before it is up waits in the kernel's queue.
    listener.close()
    try:
        yield Front(port)
    finally:
        process.terminate()
        _, complaints = await process.communicate()
    assert b"[emerg]" not in complaints, complaints
    assert b"temporary file" not in complaints, complaints


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new)
