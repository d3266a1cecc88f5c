"""A Redis in each of its troubles, real ones: what is said of it, and that all is well again once it is mended."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis

from sidecar.core.errors import JobsUnavailable
from sidecar.jobs.redis_errors import explain
from sidecar.jobs.store import JobStore
from tests.support.ports import free_port
from tests.support.scripted_provider import canned, listening
from tests.support.valkey import Valkey, valkey
from tests.support.workers import jobs_of, lecture

PATIENCE = 30.0
SECRET = "canary-password"
Change = Callable[["Redis"], Awaitable[Any]]


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def refused(store: JobStore, words: str, *, limit: float = 10.0) -> None:
    """Enqueueing does not work, and why is said in one short sentence without secrets, texts or addresses."""
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(JobsUnavailable) as caught:
            await store.enqueue([lecture(1, 2)], limit=limit)
    sentence = str(caught.value)
    assert sentence.startswith("Jobs are not available: ")
    assert re.search(words, sentence), sentence
    assert len(sentence) < 250
    for inner in (SECRET, "Lecture", "127.0.0.1", "Command #", "user_script"):
        assert inner not in sentence


async def works(store: JobStore) -> None:
    """The same object does its work again, as soon as Redis does."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                [job] = await store.enqueue([lecture(1, 2)])
                [seen] = await store.look([job.job_id])
            except JobsUnavailable:
                await asyncio.sleep(0.05)
            else:
                assert seen is not None
                return


async def spoilt(server: Valkey, break_it: Change, mend: Change, words: str) -> None:
    async with jobs_of(REDIS_URL=server.url) as store, server.client() as admin:
        await break_it(admin)
        await refused(store, words)
        await mend(admin)
        await works(store)


async def test_a_replica(server: Valkey) -> None:
    """Nothing can be written where a primary writes."""
    await spoilt(
        server,
        lambda c: c.replicaof("127.0.0.1", "1"),
        lambda c: c.replicaof("NO", "ONE"),
        "read-only replica",
    )


async def test_a_foreign_key_under_our_prefix(server: Valkey) -> None:
    """Somebody else's data is not overwritten."""
    key = "moodle-sidecar:arq:queue:night"
    await spoilt(server, lambda c: c.set(key, "theirs"), lambda c: c.delete(key), "another REDIS_PREFIX")


async def test_too_many_clients(server: Valkey) -> None:
    """The one place there is, is taken."""
    await spoilt(
        server, lambda c: c.config_set("maxclients", 1), lambda c: c.config_set("maxclients", 100), "too many clients"
    )


async def test_a_disk_that_takes_nothing(server: Valkey, tmp_path: Path) -> None:
    """The file cannot be saved, so nothing more is taken."""

    async def break_it(admin: "Redis") -> None:
        await admin.config_set("save", "3600 1")
        (Path(server.socket).parent / "dump.rdb").mkdir()
        await admin.bgsave()
        async with asyncio.timeout(PATIENCE):
            while (await admin.info("persistence"))["rdb_last_bgsave_status"] == "ok":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)

    async def mend(admin: "Redis") -> None:
        await admin.config_set("save", "")

    await spoilt(server, break_it, mend, "cannot write to its disk")


async def test_a_user_who_may_not(server: Valkey) -> None:
    """Rights on other keys, or other commands, than jobs need."""
    async with server.client() as admin:
        await admin.acl_setuser("moodle", enabled=True, passwords=[f"+{SECRET}"], commands=["+ping"], keys=["*"])
        async with jobs_of(REDIS_URL=f"unix://moodle:{SECRET}@{server.socket}") as store:
            await refused(store, r"does not permit .*\(ACL\)")
            await admin.acl_setuser("moodle", categories=["+@all"])
            await works(store)


async def test_a_password_that_is_missing_wrong_or_too_much(server: Valkey) -> None:
    """Three mistakes, three sentences; all is well as soon as the two agree."""
    async with (
        jobs_of(REDIS_URL=server.url) as without,
        jobs_of(REDIS_URL=f"unix://:{SECRET}@{server.socket}") as with_one,
        server.client() as admin,
    ):
        await refused(with_one, "has no password, but REDIS_URL has one")
        await admin.config_set("requirepass", "another")
        await refused(without, "asks for a password")
        await refused(with_one, "refuses the user or password")
        await admin.config_set("requirepass", SECRET)
        await works(with_one)
        await admin.config_set("requirepass", "")
        await works(without)


async def test_a_database_that_is_not_there_is_not_replaced_by_another(server: Valkey) -> None:
    """It is said each time anew, and nothing is written anywhere."""
    async with jobs_of(REDIS_URL=f"{server.url}?db=99") as store, server.client() as admin:
        for _ in range(3):
            await refused(store, "no database of the number")
        assert await admin.dbsize() == 0


async def test_passwords_over_tcp_as_well() -> None:
    """The library words it otherwise there."""
    port = free_port()
    async with valkey("--port", str(port), "--requirepass", SECRET):
        async with jobs_of(REDIS_URL=f"redis://127.0.0.1:{port}") as store:
            await refused(store, "asks for a password")
        async with jobs_of(REDIS_URL=f"redis://moodle:wrong@127.0.0.1:{port}") as store:
            await refused(store, "refuses the user or password")
        async with jobs_of(REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{port}/3") as store:
            await works(store)
        async with jobs_of(REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{port}/99") as store:
            await refused(store, "no database of the number")
        async with jobs_of(REDIS_URL=f"rediss://:{SECRET}@127.0.0.1:{port}") as store:
            await refused(store, "speaks no TLS", limit=1)


async def test_one_that_forbids_scripts_or_is_too_old() -> None:
    """A command that it does not know."""
    async with valkey("--rename-command", "EVALSHA", "") as server, jobs_of(REDIS_URL=server.url) as store:
        await refused(store, "6.2 or newer")


async def test_a_cluster() -> None:
    """Jobs need one server."""
    async with valkey("--cluster-enabled", "yes") as server, jobs_of(REDIS_URL=server.url) as store:
        await refused(store, "is a cluster")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set",
            "prot",
        ),
        (b"-LOADING Redis is loading the dataset in memory", "loading its file"),
        (b"-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist", "disk"),
        (b"-ERR max number of clients reached", "has too many clients"),
        (b"-ERR Error running script (call to f_0): @user_script:3: -OOM command not allowed when used", "is full"),
        (b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "its primary"),
        (b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "is busy"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak Redis' protocol"),
    ],
)
async def test_what_cannot_be_brought_about_here(said: bytes, words: str) -> None:
    """Lines of other versions and of other machines' servers, and of another service."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(said + b"\r\n")
        writer.transport.close()

    async with listening(answer) as fake, jobs_of(REDIS_URL=f"redis://127.0.0.1:{port_of(fake)}") as store:
        await refused(store, words)


async def test_protected_mode() -> None:
    """Another machine than its own is sent away; here, this machine by its other address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        try:
            out.connect(("192.0.2.1", 9))
        except OSError:
            return  # no address but loopback's; the words are tried above
        address = out.getsockname()[0]
    port = free_port()
    async with (
        valkey("--port", str(port), "--bind", "0.0.0.0", "--protected-mode", "yes"),
        jobs_of(REDIS_URL=f"redis://{address}:{port}") as store,
    ):
        await refused(store, "protected mode")


async def test_nobody_there(tmp_path: Path) -> None:
    """No file, nobody at the port, no such name: each its own sentence; it works once somebody comes."""
    async with jobs_of(REDIS_URL=f"unix://{tmp_path}/none.sock") as store:
        await refused(store, "socket file is not there")
    async with jobs_of(REDIS_URL="redis://no-such-host.invalid") as store:
        await refused(store, "host name in REDIS_URL")
    port = free_port()
    async with jobs_of(REDIS_URL=f"redis://127.0.0.1:{port}") as store:
        await refused(store, "refuses the connection")
        async with valkey("--port", str(port)):
            await works(store)


async def test_a_redis_that_was_killed_and_came_back(server: Valkey) -> None:
    """Its socket file is left and nobody listens."""
    async with jobs_of(REDIS_URL=server.url) as store:
        await works(store)
        await server.kill()
        await refused(store, "refuses the connection|closes the connection")
        await refused(store, "refuses the connection")
        await server.start()
        await works(store)


async def test_silence(server: Valkey) -> None:
    """It takes the connection and says nothing."""
    async with jobs_of(REDIS_URL=server.url) as store:
        server.pause()
        await refused(store, "does not answer in time", limit=0.2)
        server.resume()
        await works(store)


async def test_tls(tmp_path: Path) -> None:
    """A certificate that nobody vouches for, and plain words at a port with TLS."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(file)
    async with canned(b"-ERR no more\r\n", tls=context) as fake:
        address = fake.url.partition("://")[2].removesuffix("/v1")
        async with jobs_of(REDIS_URL=f"rediss://{address}") as store:
            await refused(store, "certificate that is not trusted")
        async with jobs_of(REDIS_URL=f"redis://{address}") as store:
            await refused(store, "closes the connection|does not speak Redis' protocol|does not answer", limit=2)


async def test_a_certificate_of_another_host(tmp_path: Path) -> None:
    """A server with one of the same CA, for another name, gets no password and no text."""
    ca, heard = trustme.CA(), bytearray()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(4096))
        writer.write(b"-ERR max number of clients reached\r\n")
        writer.close()

    for name, words, told in (("elsewhere.example", "another host's", False), ("127.0.0.1", "too many clients", True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name).configure_cert(context)
        async with listening(listen, context) as server:
            url = f"rediss://:{SECRET}@127.0.0.1:{port_of(server)}"
            async with jobs_of(REDIS_URL=url, SSL_CERT_FILE=str(tmp_path / "ca.pem")) as store:
                await refused(store, words)
            assert (SECRET.encode() in heard) is told
            async with jobs_of(REDIS_URL=f"{url}?ssl_cert_reqs=none") as store:
                await refused(store, "too many clients")
            heard.clear()


def test_what_nobody_thought_of_is_said_by_its_kind_alone() -> None:
    """Words that may be a user's are never passed on, and never taken for Redis' own."""
    assert explain(ValueError("my password")) == "Redis failed (ValueError)."
    quoting = Exception("Command # 1 (SET key OOM READONLY WRONGTYPE) of pipeline caused error: ('strange',)")
    assert explain(quoting) == "Redis failed (Exception)."
