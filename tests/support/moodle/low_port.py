"""The nginx block of deploy/ at its own address and port 80, for Moodle's core provider. No promises here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.support.moodle.programs import Background, give, program
from tests.support.paths import ROOT

ADDRESS: Final = ("127.77.0.1", 80)
_BLOCK: Final = ROOT / "deploy/nginx-moodle-ai.conf"
_SHIPPED: Final = "127.0.0.1:8081"
_NGINX: Final = """
daemon off; worker_processes 1; error_log {folder}/nginx.log; pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/block.conf;
}}
"""
_READY_SECONDS: Final = 60.0


@asynccontextmanager
async def block(folder: Path, port: int) -> AsyncIterator[None]:
    """Run nginx with the block, which passes to the sidecar on `port`; its address needs root, or a right to it."""
    own = folder / "block"
    own.mkdir(exist_ok=True)
    (own / "block.conf").write_text(_BLOCK.read_text("utf-8").replace(_SHIPPED, f"127.0.0.1:{port}"), "utf-8")
    (own / "nginx.conf").write_text(_NGINX.format(folder=own), "utf-8")
    give(own)
    nginx = Background(
        *(program("nginx"), "-p", own, "-c", own / "nginx.conf"), folder=own, log=own / "output.log", low_port=True
    )
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection(*ADDRESS)
                except OSError:
                    assert nginx.process.poll() is None, (own / "output.log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield
    finally:
        nginx.stop()
