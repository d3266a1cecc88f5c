"""A headless Chromium driven by the DevTools protocol. No promises here."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (Debian: apt install chromium)")
PATIENCE = 15.0
"""Seconds after which a test that waits for the page has failed."""
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-default-apps", "--no-proxy-server", "--remote-debugging-port=0", "--mute-audio"),
)

_TYPED = {"Enter": ("\r", 13), " ": (" ", 32), "Tab": ("", 9)}
"""Text and code of keys that do more than send an event."""


class Tab:
    """One page of the browser, and what its console said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._session = ""
        self._reading = asyncio.create_task(self._read(), name="devtools")
        self.patience = PATIENCE
        """Seconds for the page, in place of `PATIENCE` where a page does much."""
        self.complaints: list[str] = []
        """Errors and warnings of the console, violations of the policy included."""

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._replies.pop(said["id"]).set_result(said)
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(said["params"]["entry"]["text"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said["method"] == "Runtime.consoleAPICalled" and said["params"]["type"] in {"error", "warning"}:
                self.complaints.append(json.dumps(said["params"]["args"]))

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of a command of the protocol."""
        number = next(self._numbers)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        await self._socket.send_json(command | ({"sessionId": self._session} if self._session else {}))
        async with asyncio.timeout(self.patience):
            said = await reply
        assert "error" not in said, said["error"]
        return said["result"]

    async def attach(self) -> None:
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait((self._reading,))

    async def go(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page, awaited if it is a promise."""
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, script: str) -> None:
        """Return once an expression in the page is true."""
        async with asyncio.timeout(self.patience):
            while not await self.run(f"Boolean({script})"):  # noqa: ASYNC110 - the page's own changes set no event here
                await asyncio.sleep(0.05)

    async def press(self, *keys: str) -> None:
        for key in keys:
            text, code = _TYPED.get(key, ("", 0))
            named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **named)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    async def size(self, width: int, height: int, *, scale: float = 1.0) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)

    async def prefer(self, scheme: str) -> None:
        """Set the colour scheme of the system, `light` or `dark`."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, *, whole: bool = False) -> bytes:
        """Return a screenshot as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Tab]:
    """Run a browser with one empty page, in a folder of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", env={"HOME": folder}, stdout=DEVNULL, stderr=PIPE
        )
        try:
            async with asyncio.timeout(PATIENCE):
                address = await _address(process)
            async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                await tab.attach()
                try:
                    yield tab
                finally:
                    await tab.call("Page.navigate", url="about:blank")
                    await tab.close()
        finally:
            process.kill()
            await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on " in line:
            return line.decode().partition("DevTools listening on ")[2].strip()
    raise AssertionError("chromium ended at once")


def axe() -> str:
    """Return the script of axe-core."""
    return files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
