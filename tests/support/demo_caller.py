"""A caller of the demo provider over real sockets. No promises here."""

from typing import Any

import aiohttp

from sidecar.demo.server import Demo

CANARY = "kingfisher-canary"


class Caller:
    """A caller of one demo provider."""

    def __init__(self, demo: Demo, session: aiohttp.ClientSession) -> None:
        self.demo = demo
        self.session = session

    def post(self, text: str = "Why is the sky blue?", *, behave: str = "", key: str = "k", **fields: Any) -> Any:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        headers = {"Authorization": f"Bearer {key}"}
        if behave:
            headers["X-Demo-Behave"] = behave
        return self.session.post(f"{self.demo.url}/v1/chat/completions", json=body, headers=headers)

    async def ask(self, text: str = "Why is the sky blue?", **fields: Any) -> tuple[int, Any, Any]:
        """Return status, headers and decoded body of one call."""
        async with self.post(text, **fields) as response:
            return response.status, response.headers, await response.json()

    async def admin(self, method: str, path: str, **fields: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.demo.url + path, **fields) as response:
            return response.status, await response.json()
