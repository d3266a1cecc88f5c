"""Settings of arq's own command: it starts our consumers and takes no job itself.

arq's consumer holds a job for as long as a job may last, so that a killed worker's job would wait for a day. Our
consumers run in the same process, and end with it.
"""

import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from arq.connections import RedisSettings

from sidecar.cli.service_log import configure_service_log
from sidecar.config.load import load, with_tokens
from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.jobs.keys import Names
from sidecar.jobs.redis import connect, redis_address
from sidecar.jobs.worker.arq_consumer import options
from sidecar.wiring import worker_running

_STACK = "sidecar"


def worker_settings() -> type:
    """Return the class that `arq` reads, from the variables and the env file; exit with 2 if a setting is wrong."""
    try:
        settings = with_tokens(load({}))
        settings.check_redis()
    except ConfigError as exc:
        for fault in exc.faults:
            sys.stderr.write(f"worker.WorkerSettings: {fault}\n")
        raise SystemExit(2) from None
    return type("WorkerSettings", (), _attributes(settings))


def _attributes(settings: Settings) -> dict[str, Any]:
    names = Names(settings.redis_prefix)
    names.adopt_arq()
    redis = connect(settings)

    async def on_startup(ctx: dict[str, Any]) -> None:
        # Not earlier: arq's command configures logging before it calls this.
        configure_service_log(settings, {}, None)
        stack = ctx[_STACK] = AsyncExitStack()
        drain = await stack.enter_async_context(worker_running(settings))
        stack.push_async_callback(drain)

    async def on_shutdown(ctx: dict[str, Any]) -> None:
        await ctx.pop(_STACK).aclose()

    return options(_nothing, queue=names.queue("night"), at_once=0) | {
        "redis_pool": redis,
        "redis_settings": _for_check(redis_address(settings), settings.ca_file),
        "job_serializer": redis.job_serializer,
        "job_deserializer": redis.job_deserializer,
        "on_startup": on_startup,
        "on_shutdown": on_shutdown,
    }


def _for_check(address: str, ca_file: str) -> RedisSettings:
    """Connection of `arq --check`; arq takes names literally from an address, and reads none from Redis."""
    found = RedisSettings.from_dsn(address)
    return replace(
        found,
        username=None if found.username is None else unquote(found.username),
        password=None if found.password is None else unquote(found.password),
        ssl_ca_certs=ca_file or None,
        ssl_check_hostname=found.ssl,
    )


async def _nothing(_ctx: dict[Any, Any]) -> None:
    """Never called: with no job at once arq takes none."""
