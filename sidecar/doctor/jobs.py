"""Checks of jobs: their Redis with its memory, persistence and clock, the workers, and the embedded Valkey."""

import time
from typing import Any, Final

from sidecar.config.provenance import shown_url
from sidecar.config.settings import Settings
from sidecar.core import remedies
from sidecar.core.errors import ConfigError, JobsUnavailable
from sidecar.doctor.findings import Finding
from sidecar.jobs import health
from sidecar.jobs.embedded.state_dir import check_folder, taken_by_another, valkey_program
from sidecar.jobs.keys import Names
from sidecar.jobs.redis import SOCKET, Redis, bounded, connect, redis_address

_SECONDS: Final = 5.0
_OLDEST: Final = (6, 2)
_CLOCKS_APART: Final = 2.0
"""Seconds. Jobs, leases and heartbeats go by the clock of Redis alone; people compare logs."""
_NEARLY: Final = 0.8
"""Share of maxmemory from which on the use of memory is a warning."""


async def check(settings: Settings) -> list[Finding]:
    """Check the embedded Valkey's installation, Redis and the workers; Redis is only read."""
    findings = _embedded(settings) if settings.redis_url == "embedded" else []
    if any(finding.state == "failed" for finding in findings):
        return findings
    redis = connect(settings)
    try:
        findings += await _redis_findings(redis, settings)
    finally:
        await redis.aclose(close_connection_pool=True)
    return findings


async def _redis_findings(redis: Redis, settings: Settings) -> list[Finding]:
    where = f"{settings.state_dir}/{SOCKET}" if settings.redis_url == "embedded" else shown_url(redis_address(settings))
    try:
        async with bounded(_SECONDS):
            info: dict[str, Any] = await redis.info("all")
            before = time.time()
            seconds, micros = await redis.time()
            after = time.time()
            alive = int(await redis.zcount(Names(settings.redis_prefix).workers, int(seconds) * 1000, "+inf"))
            written = (await health.look(redis, settings.redis_prefix, limit=_SECONDS)).refusal
    except JobsUnavailable as exc:
        why = str(exc).removeprefix("Jobs are not available: ")
        if settings.redis_url == "embedded" and not taken_by_another(settings):
            how = "start the server; Valkey and worker come and go with it"
            return [Finding("redis", "note", "the embedded Valkey does not run, as no server does", how)]
        return [Finding("redis", "failed", f"{where}: {why}", remedies.REDIS)]
    product = "Valkey" if info.get("valkey_version") else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "")
    return [
        Finding("redis", "ok", f"{product} {version} answers at {where}"),
        _version(str(info.get("redis_version") or "")),
        *([Finding("redis writes", "failed", written, "no job is taken or ended until then")] if written else []),
        _memory(info),
        await _persistence(redis, info),
        _clock(float(seconds) + float(micros) / 1e6, before, after),
        _workers(alive, settings),
    ]


def _version(version: str) -> Finding:
    # Valkey reports here the version of Redis that it is compatible with.
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) < 2:
        return Finding("redis version", "note", "it does not tell its version")
    if numbers < _OLDEST:
        return Finding("redis version", "failed", f"{version} is too old", "update it: 6.2 or newer, or any Valkey")
    return Finding("redis version", "ok", f"{version} has all that jobs need")


def _memory(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", ""))
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if policy != health.SAFE:
        what = f"maxmemory-policy is {policy or 'not told'}: when it is full, it may throw jobs away without a word"
        how = "maxmemory-policy noeviction; a cache's Redis, such as Moodle's, cannot be shared with jobs"
        return Finding("redis memory", "warning", what, how)
    if most and used >= most * health.SHARE:
        what = f"Redis is full: {used // 2**20} of {most // 2**20} MiB are used, and no new job is taken"
        how = "raise maxmemory, shorten JOB_RESULT_TTL, or give jobs a Redis of their own; jobs that wait are not lost"
        return Finding("redis memory", "failed", what, how)
    if most and used >= most * _NEARLY:
        what = f"{used // 2**20} of {most // 2**20} MiB are used; from {health.SHARE:.0%} on no new job is taken"
        return Finding("redis memory", "warning", what, "raise maxmemory, or shorten JOB_RESULT_TTL")
    return Finding(
        "redis memory", "ok", "nothing is evicted (noeviction)" + ("" if most else ", and there is no limit")
    )


async def _persistence(redis: Redis, info: dict[str, Any]) -> Finding:
    if str(info.get("aof_enabled", 0)) == "1":
        if str(info.get("aof_last_write_status", "ok")) != "ok":
            what = "it cannot write its append-only file, and takes no more jobs"
            return Finding("redis persistence", "failed", what, "see its log, and whether its disk is full")
        return Finding("redis persistence", "ok", "what it is given goes to disk (appendonly)")
    try:
        async with bounded(_SECONDS):
            save = str((await redis.config_get("save")).get("save", ""))
    except JobsUnavailable:
        return Finding("redis persistence", "note", "no append-only file; whether it saves, it does not say")
    if save:
        what = f"it saves now and then (save {save}): a crash loses the jobs since"
        return Finding("redis persistence", "warning", what, "appendonly yes, appendfsync everysec")
    what = "it keeps nothing on disk: its restart loses every job and result"
    return Finding("redis persistence", "warning", what, "appendonly yes, appendfsync everysec")


def _clock(theirs: float, before: float, after: float) -> Finding:
    apart = max(before - theirs, theirs - after, 0.0)
    if apart > _CLOCKS_APART:
        what = (
            f"its clock and this machine's are {apart:.0f} s apart, so that times in its file and in logs do not agree"
        )
        return Finding("redis clock", "warning", what, "set the clocks by NTP (timedatectl set-ntp true)")
    return Finding("redis clock", "ok", "its clock and this machine's agree")


def _workers(alive: int, settings: Settings) -> Finding:
    if alive:
        return Finding("workers", "ok", f"{alive} at work")
    how = remedies.WORKER
    if settings.redis_url == "embedded":
        how = remedies.OWN_WORKER
    return Finding("workers", "warning", "none is alive: jobs are taken and wait", how)


def _embedded(settings: Settings) -> list[Finding]:
    try:
        found = Finding("embedded valkey", "ok", f"installed ({valkey_program()})")
    except ConfigError as exc:
        found = Finding("embedded valkey", "failed", exc.faults[0], "install it, or set REDIS_URL to a Redis")
    try:
        check_folder(settings, make=False)
    except ConfigError as exc:
        how = "let the server's user own it (chmod 700), name another STATE_DIR, or run the doctor as that user"
        return [found, Finding("state folder", "failed", exc.faults[0], how)]
    return [found, Finding("state folder", "ok", f"{settings.state_dir}, on this machine's disk")]
