"""The providers of one process: their clients, the pools over them, and PROVIDERS_FILE read again on SIGHUP."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Protocol

import msgspec

from sidecar.config.load import providers_of
from sidecar.config.providers import ProviderSettings
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.errors import ConfigError
from sidecar.core.ports import Upstream
from sidecar.engine.actions import Limits
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.runtime.signals import reload_requested


class Client(Upstream, Protocol):
    """Port: a provider whose client may have to load first."""

    def warm(self) -> "asyncio.Task[None] | None":
        """Begin to load what calls need, and return the task that ends when it is there; None if nothing is left."""
        ...


Connection = tuple[str, str, str, str, str, bytes]
"""Parts that a client is made of; providers that are equal in it share one."""


class _Lane:
    """One pool, with the settings that each of its providers was made of."""

    def __init__(self, most: int | None, clock: Callable[[], float]) -> None:
        self.most = most
        self.clock = clock
        self.made: list[tuple[ProviderSettings, Provider]] = []
        self.pool: Pool | None = None


class Providers:
    """Clients of the providers, one for each connection, and the pools that call them."""

    def __init__(self, settings: Settings, client: Callable[[Settings], Client]) -> None:
        self._settings = settings
        self._client = client
        self._found: Sequence[ProviderSettings] = settings.providers or (_only(settings),)
        self._clients: dict[Connection, Client] = {}
        self._clients = self._connected(self._found)
        self._lanes: list[_Lane] = []
        self._busy: dict[Provider, ProviderSettings] = {}
        """Providers of all files so far that had calls in flight at the last reload."""
        self._closing: dict[asyncio.Task[None], Client] = {}
        self.keys = keys_of(settings)
        """Keys under the models of the providers in force."""

    def named(self) -> Sequence[ProviderSettings]:
        """Return the providers of PROVIDERS_FILE in force; none without the file."""
        return [one for one in self._found if one.name]

    def _connected(self, found: Iterable[ProviderSettings]) -> dict[Connection, Client]:
        """Return a client for each connection: the one that there is, or a new one. Raises `ConfigError`."""
        clients: dict[Connection, Client] = {}
        for one in found:
            key = _connection(one)
            if key not in clients:
                clients[key] = self._clients.get(key) or self._client(self._settings.at(one))
        return clients

    def pool(self, *, most: int | None = None, clock: Callable[[], float] = time.monotonic) -> Pool:
        """Return a pool over all providers with limits of its own; `most` bounds its calls in flight."""
        lane = _Lane(most, clock)
        self._lanes.append(lane)
        lane.pool = Pool(self._providers(lane), most=float("inf") if most is None else most)
        return lane.pool

    def _providers(self, lane: _Lane) -> list[Provider]:
        """Return the lane's providers as the file has them now; those whose connection is the same stay."""
        before, lane.made = lane.made, []
        for one in self._found:
            same = (made for was, made in before if _same(was, one))
            provider = next(same, None) or self._provider(one, lane)
            provider.priority, provider.traffic = one.priority, one.classes
            lane.made.append((one, provider))
        return [made for _, made in lane.made]

    def _provider(self, one: ProviderSettings, lane: _Lane) -> Provider:
        concurrency = one.concurrency
        if lane.most is not None:
            concurrency = min(concurrency, lane.most) if one.name else lane.most
        upstream = self._clients[_connection(one)]
        return Provider(upstream, concurrency=concurrency, name=one.name, model=one.model, clock=lane.clock)

    def log_hosts(self) -> None:
        """Log each provider that texts may go to."""
        for one in self._found:
            named = {"provider": one.name, "classes": sorted(one.classes)} if one.name else {}
            own = self._settings.at(one)
            shown = {"client": own.client, "authentication": own.authentication}
            events.info("provider", host=own.provider_host, model=one.model, **shown, **named)

    def warm(self) -> "asyncio.Future[Any] | None":
        """Begin to load what calls need; return what is done when all is there, None if nothing is left."""
        loading = [task for client in self._clients.values() if (task := client.warm()) is not None]
        return asyncio.gather(*loading) if len(loading) > 1 else next(iter(loading), None)

    def reload(self) -> None:
        """Read the file again: new calls go to what the file has now. A file with a mistake changes nothing.

        Calls in flight end where they are. The limits of providers whose connection is the same are kept.
        """
        if not self._settings.providers_file:
            return
        faults: list[str] = []
        found = providers_of(self._settings, faults)
        try:
            clients = self._connected(found)
        except ConfigError as exc:
            faults += exc.faults
        if faults:
            for fault in faults:
                events.warning("providers_kept", fault=fault)
            return
        leaving = {key: client for key, client in self._clients.items() if key not in clients}
        self._busy |= {provider: one for lane in self._lanes for one, provider in lane.made}
        self._busy = {provider: one for provider, one in self._busy.items() if provider.running}
        self._found, self._clients = found, clients
        self.keys.rename(models_of(found))
        for lane in self._lanes:
            if lane.pool is not None:
                lane.pool.replace(self._providers(lane))
        for client in clients.values():
            client.warm()
        for key, client in leaving.items():
            last = [provider for provider, one in self._busy.items() if _connection(one) == key]
            task = asyncio.create_task(_close(client, last), name="close provider")
            self._closing[task] = client
            task.add_done_callback(self._closing.pop)
        events.info("providers_read", providers=[one.name for one in found])
        self.log_hosts()

    async def aclose(self) -> None:
        """Close every client; all calls must have ended."""
        closing = dict(self._closing)
        for task in closing:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
        for client in (*self._clients.values(), *closing.values()):
            await client.aclose()


@asynccontextmanager
async def server_providers(settings: Settings) -> AsyncIterator[Providers]:
    """Open the providers of a server, worker or batch, with the clients that PROVIDER_CLIENT or the file chooses."""
    from sidecar.provider.selection import server_client

    providers = Providers(settings, server_client)
    try:
        yield providers
    finally:
        await providers.aclose()


@asynccontextmanager
async def demo_provider(settings: Settings) -> AsyncIterator[Settings]:
    """Run the demo provider in this process; give the settings that point at it."""
    from sidecar.demo.options import Options
    from sidecar.demo.server import serve

    async with serve(Options()) as demo:
        events.warning("demo", note="answers come from the demo provider; they are canned and not from a model")
        tokens = settings.tokens
        key = {"openai_api_key": "demo", "openai_api_key_file": "", "azure_auth": "auto"}
        yield msgspec.structs.replace(
            settings,
            openai_base_url=f"{demo.url}/v1",
            openai_model="demo",
            proxies={},
            providers_file="",
            providers=(),
            tokens=tokens.without_providers() if tokens is not None else None,
            **key,
        )


def reloading(
    settings: Settings, *reload: Callable[[], None], always: bool = False, hangup: asyncio.Event | None = None
) -> AbstractContextManager[None]:
    """Call each function on SIGHUP during the block, with PROVIDERS_FILE, TOKENS_FILE or `always`.

    `hangup` is set by the SIGHUP of a terminal that is gone.
    """
    wanted = settings.providers_file or settings.tokens_file or always
    return reload_requested(*reload, hangup=hangup) if wanted else nullcontext()


async def _close(client: Client, providers: Iterable[Provider]) -> None:
    """Close a client after the last call of its providers."""
    for provider in providers:
        await provider.emptied()
    await client.aclose()


def _only(settings: Settings) -> ProviderSettings:
    """Return the one provider of a process without PROVIDERS_FILE; its name is blank."""
    return ProviderSettings(
        name="",
        base_url=settings.openai_base_url,
        model=settings.openai_model,
        api_key=settings.openai_api_key,
        api_key_file=settings.openai_api_key_file,
        concurrency=settings.concurrency,
        client=settings.provider_client,
        extra_body=settings.extra_body,
        azure_auth=settings.azure_auth,
    )


def _connection(one: ProviderSettings) -> Connection:
    # A client reads its key's file again by itself.
    key, body = one.api_key_file or one.api_key, msgspec.json.encode(one.extra_body)
    return one.base_url, one.model, key, one.azure_auth, one.client, body


def _same(was: ProviderSettings, now: ProviderSettings) -> bool:
    """Return whether a provider's limit still holds."""
    return (was.name, was.concurrency, _connection(was)) == (now.name, now.concurrency, _connection(now))


def limits_of(settings: Settings) -> Limits:
    """Return the limits of actions that `settings` describe."""
    return Limits(
        max_tokens=settings.max_tokens,
        summarize_threshold=settings.summarize_threshold,
        context_tokens=settings.context_tokens,
    )


def models_of(providers: Iterable[ProviderSettings]) -> str:
    """Return the models as a key knows them: an answer may come from each of them."""
    return "\n".join(sorted({one.model for one in providers}))


def keys_of(settings: Settings) -> Keys:
    """Build the keys under which `settings` allow answers to be shared."""
    model = models_of(settings.providers) if settings.providers else settings.openai_model
    return Keys(model=model, limits=limits_of(settings))
