"""A sidecar with named tokens and limits, on a clock that the test moves. No promises here."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.config.load import with_tokens
from sidecar.config.settings import Settings
from sidecar.config.tokens import hash_of
from sidecar.core.ports import Call, Completion
from sidecar.engine.quotas.quotas import Quotas
from sidecar.engine.quotas.shared import Shared
from sidecar.http.routes.jobs import Jobs
from sidecar.http.server.server import serve
from sidecar.http.server.timings import Timings
from sidecar.providers import Providers
from sidecar.service import service_of
from tests.support.clocks import Clock
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, post, settings_of

TOKENS = {name: f"canary-token-{name}" for name in ("physics", "chemistry", "gone")}
MIDNIGHT = 86_400 * 20_000


class CostlyUpstream(HeldUpstream):
    """A provider whose answers cost tokens."""

    def __init__(self, prompt: int = 6, completion: int = 4) -> None:
        super().__init__()
        self.prompt, self.completion = prompt, completion

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        done = await super().complete(call, deadline=deadline)
        return Completion(text=done.text, prompt_tokens=self.prompt, completion_tokens=self.completion)


class LimitedSidecar(NamedTuple):
    """A sidecar that listens, its limits, and the clocks of its minute and of its day."""

    sidecar: Sidecar
    quotas: Quotas
    clock: Clock
    wall: Clock

    async def ask(
        self, path: str = "/ai", user: str = "7", *, token: str = "", text: str = "Why?", **fields: Any
    ) -> Answer:
        """Return the answer to a request of `user`, with the token of that name; a stream as it came."""
        if path == "/ai":
            body: dict[str, Any] = {"action": "chat", "content": text, "user_id": user}
        elif path == "/jobs":
            body = {"action": "analyze", "content": text, "user_id": user}
        else:
            body = {"messages": [{"role": "user", "content": text}], "user": user}
        headers = [f"Authorization: Bearer {TOKENS.get(token, token)}"] if token else []
        whole = post(json.dumps(body | fields).encode(), *headers, path=path)
        return await self.sidecar.fetch(whole, described="stream" not in fields)


def token_table(name: str, *lines: str) -> str:
    return "\n".join(("[[token]]", f'name = "{name}"', f'hash = "{hash_of(TOKENS[name])}"', *lines, ""))


def providers_file(folder: Path, *names: str) -> str:
    """Write a PROVIDERS_FILE of these providers, each with a model of its own; return its path."""
    file = folder / "providers.toml"
    lines = [f'[[provider]]\nname = "{name}"\nbase_url = "http://{name}/v1"\nmodel = "of-{name}"\n' for name in names]
    file.write_text("\n".join(lines))
    return str(file)


def providers_at(settings: Settings, upstreams: Mapping[str, HeldUpstream]) -> Providers:
    """Return the providers of that file, which call `upstreams`."""
    return Providers(settings, lambda own: upstreams[own.provider_host])


@asynccontextmanager
async def limited(
    folder: Path,
    *tables: str,
    upstream: HeldUpstream | None = None,
    shared: Shared | None = None,
    jobs: Jobs | None = None,
    upstreams: Mapping[str, HeldUpstream] | None = None,
    **named: str,
) -> AsyncIterator[LimitedSidecar]:
    """Serve with a TOKENS_FILE of `tables`, and with a PROVIDERS_FILE where there are `upstreams`, by name."""
    path = folder / "tokens.toml"
    path.write_text("\n".join(tables))
    if upstreams is not None:
        named |= {"PROVIDERS_FILE": providers_file(folder, *upstreams)}
    settings = with_tokens(settings_of(TOKENS_FILE=str(path), **named))
    assert settings.tokens is not None
    upstream, clock, wall = upstream or HeldUpstream(), Clock(), Clock()
    wall.now = MIDNIGHT
    quotas = Quotas(settings.tokens, shared=shared, clock=clock, wall=wall)
    if upstreams is None:
        service = service_of(settings, upstream, quotas=quotas)
    else:
        providers = providers_at(settings, upstreams)
        service = service_of(settings, providers.pool(), keys=providers.keys, quotas=quotas)
    patient = Timings(linger_seconds=40.0, half_close_seconds=0.0)
    async with serve(service, settings, jobs=jobs, timings=patient) as listening:
        yield LimitedSidecar(Sidecar(listening, service, upstream), quotas, clock, wall)
