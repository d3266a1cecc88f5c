"""The files that start the sidecar elsewhere: they agree with the settings, with each other and with the plugin.

They are read with patterns, not a YAML library: the promises here are about single lines.
"""

import json
import re

import pytest

from sidecar.config.settings import BY_FIELD, SETTINGS
from sidecar.doctor.configuration import SERVICE_KEY
from sidecar.http.server.listener import BACKLOG
from sidecar.runtime.systemd import STATUS_SECONDS
from tests.support.paths import ROOT

COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
UNIT = (ROOT / "deploy/openai-moodle-sidecar.service").read_text("utf-8")
WORKER = (ROOT / "deploy/openai-moodle-sidecar-worker.service").read_text("utf-8")
SOCKET = (ROOT / "deploy/openai-moodle-sidecar.socket").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PLUGIN_PORT = "8081"
"""Where the deployed communicator looks when it is told nothing else (CONTRACT, "Who calls")."""


def the(pattern: str, text: str) -> str:
    """What the pattern's group matches, on the one line that it matches."""
    found: list[str] = re.findall(pattern, text, re.MULTILINE)
    assert len(found) == 1, (pattern, found)
    return found[0]


def compose_environment() -> dict[str, str]:
    return dict(re.findall(r"^    ([A-Z_]+): (.*)$", COMPOSE, re.MULTILINE))


def service(name: str) -> str:
    """The lines of one of compose's services."""
    [lines] = re.findall(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    return str(lines)


@pytest.mark.parametrize(
    "stop_time",
    [
        the(r"^ +stop_grace_period: (\d+)s", COMPOSE),
        the(r"^TimeoutStopSec=(\d+)$", UNIT),
        the(r"^TimeoutStopSec=(\d+)$", WORKER),
    ],
    ids=["compose", "systemd", "worker"],
)
def test_a_stop_leaves_time_to_finish_what_was_accepted(stop_time: str) -> None:
    """Each supervisor of the sidecar waits longer than the sidecar drains, with room for its own closing."""
    assert float(stop_time) >= BY_FIELD["shutdown_grace"].default + 10


def test_compose_passes_every_setting_and_no_other() -> None:
    """What an administrator sets beside compose arrives; what is no setting is not pretended to be one."""
    settings = {setting.name for setting in SETTINGS}
    files = {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    from_outside = {"HTTPS_PROXY", "NO_PROXY", "OPENAI_SIDECAR_HTTP_TIMEOUT"}

    assert compose_environment().keys() == settings | files | from_outside


def test_compose_leaves_what_was_not_set_blank() -> None:
    """Blank means unset: a default stands in one place only, in the settings."""
    own = {"HOST": '"0.0.0.0"', "PORT": f'"{PLUGIN_PORT}"', "HTTP_MODE": '"true"'}
    own |= {"ALLOW_UNAUTHENTICATED": "${ALLOW_UNAUTHENTICATED:-true}"}
    own |= {"REDIS_URL": "${REDIS_URL:-redis://valkey:6379/0}"}

    for name, value in compose_environment().items():
        assert value == own.get(name, f"${{{name}:-}}")


def test_compose_is_where_its_comment_sends_moodle() -> None:
    """The URL an administrator copies names the service and the port it listens on."""
    url = the(r"^# +OPENAI_SIDECAR_HTTP_URL: (\S+)$", COMPOSE)
    service = the(r"^services:\n  (\S+):$", COMPOSE)

    assert url == f"http://{service}:{PLUGIN_PORT}/ai"
    assert "ports:" not in COMPOSE


def test_the_container_runs_without_rights() -> None:
    """Neither root inside, nor a way to become it, nor a place to write."""
    assert int(the(r"^USER (\d+):\d+$", DOCKERFILE)) >= 10_000
    shared = COMPOSE[: COMPOSE.index("\nservices:")]
    for part in (shared, service("valkey")):
        for line in ("read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]'):
            assert the(f"^ +({re.escape(line)})$", part)
    assert the(r"^ +user: (.*)$", service("valkey")) == "valkey"


def test_compose_has_a_redis_for_jobs_alone() -> None:
    """It keeps what it is given, evicts nothing, is published nowhere, and is reached by those who need it only."""
    command = " ".join(the(r"command: >-\n((?:      .*\n)+)", service("valkey")).split())

    assert re.match(r"valkey/valkey:\d+", the(r"^ +image: (.*)$", service("valkey")))
    for option in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert option in command
    assert the(r"^ +networks: (.*)$", service("valkey")) == "[jobs]"
    assert "  jobs:\n    internal: true\n" in COMPOSE
    assert the(r'^ +volumes: \["(\w+):/data"\]$', COMPOSE) in the(r"^volumes:\n  (\w+):$", COMPOSE)
    assert '"valkey-cli", "-e", "ping"' in service("valkey")


def test_compose_has_a_worker_like_the_server() -> None:
    """The same image, settings and rights; its health is that of a worker."""
    for name in ("openai-sidecar", "worker"):
        assert "    <<: *sidecar\n" in service(name)
        assert the(r"^ +networks: (.*)$", service(name)) == "[moodle-ai, jobs]"
    assert the(r"^ +command: (.*)$", service("worker")) == '["worker"]'
    check: list[str] = json.loads(the(r"^ +test: (.*)$", service("worker")))
    assert check == ["CMD", "openai-moodle-sidecar", "worker", "--check"]


def test_the_container_gets_signals_itself() -> None:
    """No shell stands between a stop and the program."""
    assert the(r"^ENTRYPOINT (.*)$", DOCKERFILE) == '["openai-moodle-sidecar"]'
    assert the(r"^STOPSIGNAL (.*)$", DOCKERFILE) == "SIGTERM"


def test_the_image_is_built_from_the_lock_with_its_hashes() -> None:
    """The image holds what was locked, and what it copies is not kept from it by .dockerignore."""
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }

    assert re.search(r"^RUN .*--require-hashes .*-r requirements\.lock$", DOCKERFILE, re.MULTILINE)
    assert copied == allowed


def test_systemd_serves_where_the_plugin_looks() -> None:
    """The command exists once the documented step was taken, and listens on the plugin's port."""
    command = the(r"^ExecStart=(.*)$", UNIT).split()

    assert command[0].endswith("/.venv/bin/openai-moodle-sidecar")
    assert "--http-mode" in command
    assert f"--port={PLUGIN_PORT}" in command


def test_systemd_holds_the_port_that_the_plugin_looks_at() -> None:
    """The socket unit belongs to the service by its name, and keeps as many waiting as the sidecar itself would."""
    assert the(r"^ListenStream=(.*)$", SOCKET) == f"127.0.0.1:{PLUGIN_PORT}"
    assert int(the(r"^Backlog=(\d+)$", SOCKET)) == BACKLOG
    assert "Accept=" not in SOCKET


def test_systemd_hands_the_key_over_without_showing_it() -> None:
    """A credential of the service's own, which may be missing: the key can stand in the env file as well."""
    name = the(rf"^LoadCredential=([\w-]+):{SERVICE_KEY}$", UNIT)

    assert the(r"^SetCredential=([\w-]+):\\n$", UNIT) == name
    assert the(r"^Environment=OPENAI_API_KEY_FILE=%d/([\w-]+)$", UNIT) == name


def test_systemd_runs_a_worker_with_the_servers_settings_and_rights() -> None:
    """The same program, env file, key, user, folder and hardening; no port."""

    def lines(unit: str) -> set[str]:
        return {line for line in unit[unit.index("[Service]") : unit.index("[Install]")].splitlines() if "=" in line}

    command = the(r"^ExecStart=(.*)$", WORKER).split()
    assert command[1] == "worker"
    assert "--env-file=/dev/null" in command
    assert command[0] == the(r"^ExecStart=(.*)$", UNIT).split()[0]
    alike = [{line for line in lines(unit) if not line.startswith("#")} for unit in (UNIT, WORKER)]
    assert {line.partition("=")[0] for line in alike[0] ^ alike[1]} == {"ExecStart", "KillSignal"}
    assert "valkey.service" in the(r"^After=(.*)$", WORKER)


def test_systemd_gives_the_embedded_valkey_a_folder() -> None:
    """It is the default of STATE_DIR then, and nobody else's."""
    assert the(r"^StateDirectory=(.*)$", UNIT) == "openai-moodle-sidecar"
    assert the(r"^StateDirectoryMode=(.*)$", UNIT) == "0700"


@pytest.mark.parametrize("unit", [UNIT, WORKER], ids=["server", "worker"])
def test_systemd_hears_from_the_process(unit: str) -> None:
    """Ready when it is, ended when its loop stands still, and never mistaken for stalled between two signs of life."""
    assert the(r"^Type=(.*)$", unit) == "notify"
    assert float(the(r"^WatchdogSec=(\d+)$", unit)) >= 4 * STATUS_SECONDS
    assert the(r"^ExecReload=(.*)$", unit) == "kill -HUP $MAINPID"
    assert the(r"^LimitCORE=(.*)$", unit) == "0"


def test_systemd_gives_room_for_a_burst() -> None:
    """A burst is one connection a caller and one to the provider."""
    assert int(the(r"^LimitNOFILE=(\d+)$", UNIT)) >= 65536
    assert int(the(r"^ +nofile: (\d+)$", COMPOSE)) >= 65536


def test_nothing_takes_the_whole_machine() -> None:
    """Each service has a bound of memory above what its settings add up to; Valkey's leaves room for a rewrite."""

    def mib(text: str) -> int:
        number, unit = re.fullmatch(r"(\d+)([mg])b?", text.lower()).groups()  # type: ignore[union-attr]
        return int(number) * (1024 if unit == "g" else 1)

    needed = 70 + (BY_FIELD["queue_bytes"].default + BY_FIELD["cache_bytes"].default) // 1024**2
    for unit in (UNIT, WORKER):
        assert mib(the(r"^MemoryMax=(.*)$", unit)) > 2 * needed
        assert the(r"^OOMPolicy=(.*)$", unit) == "continue"
    assert mib(the(r"^  mem_limit: (\S+)", COMPOSE)) > 2 * needed
    valkey = service("valkey")
    assert mib(the(r"^    mem_limit: (\S+)", valkey)) >= 2 * mib(the(r"--maxmemory (\S+)", valkey))
