"""Every setting: its variable, flag, default and meaning; and values that follow from several settings.

`load.py` reads the values.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from sidecar.config import addresses, types
from sidecar.config.answers import ANSWERS
from sidecar.config.providers import ProviderSettings
from sidecar.config.setting import Setting
from sidecar.core.errors import ConfigError

if TYPE_CHECKING:
    from sidecar.config.tokens import TokensFile

_MIB: Final = 1024**2


def _s(name: str, kind: types.Kind, default: Any, meaning: str, **more: Any) -> Setting:
    return Setting(name=name, kind=kind, default=default, help=meaning, **more)


_count = types.integer(1, 1_000_000)

SETTINGS: Final[tuple[Setting, ...]] = (
    _s("OPENAI_API_KEY", types.secret, "", "the provider's key; required", flag="--api-key", secret=True),
    _s(
        "OPENAI_BASE_URL",
        addresses.base_url,
        "https://ai.kivoyo.com/api",
        "the provider; texts go to this host",
        flag="--base-url",
    ),
    _s("OPENAI_MODEL", types.name, "adorsys", "the model that answers", flag="--model"),
    _s("OPENAI_ORG_ID", types.header, "", "the organization that pays, sent as OpenAI-Organization"),
    _s("OPENAI_PROJECT_ID", types.header, "", "the project that pays, sent as OpenAI-Project"),
    _s(
        "AZURE_AUTH",
        types.choice("auto", "key", "entra"),
        "auto",
        "what Azure is shown: auto, the key in the header api-key at Azure's addresses; key, the same at any address; "
        "entra, a token of Microsoft Entra ID in place of a key",
    ),
    _s("MAX_TOKENS", _count, 1000, "the most tokens of an answer; a summary gets half"),
    _s("COMPLETION_MAX_TOKENS", _count, 4096, "the most tokens of an answer on /v1, where the request names no limit"),
    _s("MODEL_PASSTHROUGH", types.boolean, False, "ask for the model that a request on /v1 names, not OPENAI_MODEL"),
    _s("SUMMARIZE_THRESHOLD", _count, 2000, "a longer chat context, in characters, is summarized first"),
    _s("HTTP_MODE", types.boolean, False, "serve HTTP, whatever standard input is"),
    _s("PORT", types.integer(0, 65535), 8080, "the port to listen on; 0 takes a free one"),
    _s("HOST", types.host, "127.0.0.1", "the address to listen on"),
    _s(
        "REQUEST_TIMEOUT",
        types.seconds(0.1, 3600),
        25.0,
        "seconds from arrival to answer, waiting included; by default a fifth, at least 5 s and at most half, "
        "less than OPENAI_SIDECAR_HTTP_TIMEOUT where that is set",
    ),
    _s("PROCESSES", types.processes, 1, "the processes that serve HTTP, or auto for one a processor"),
    _s("CONCURRENCY", types.integer(1, 10_000), 64, "the most provider calls in flight at once"),
    _s("QUEUE_SIZE", _count, 2048, "the most requests held at once"),
    _s("QUEUE_BYTES", types.size(1024, 2**40), 128 * _MIB, "the most bytes of request bodies held at once"),
    _s("MAX_BODY_BYTES", types.size(1024, 2**30), 4 * _MIB, "the largest request body, and the longest stdio line"),
    _s("CONTEXT_TOKENS", types.integer(200, 10_000_000), 16_000, "the tokens one provider call may take"),
    _s("SHUTDOWN_GRACE", types.seconds(0, 3600), 30.0, "seconds to finish accepted requests after SIGTERM"),
    _s("SIDECAR_TOKEN", types.secret, "", "the token callers must send", secret=True),
    _s(
        "TOKENS_FILE",
        types.path,
        "",
        "the TOML file of named tokens, and of limits of the site, of tokens and of users",
    ),
    _s("ALLOWED_HOSTS", types.hosts, "", "names in Host served on loopback beside addresses and localhost, by commas"),
    _s("AI_REQUIRE_TOKEN", types.boolean, False, "ask for the token on /ai even on loopback"),
    _s("ALLOW_UNAUTHENTICATED", types.boolean, False, "listen beyond loopback without a token"),
    _s(
        "STDIO_MAX_PROCESSES",
        types.integer(1, 4096),
        16,
        "the most one-shot processes at work on this machine",
    ),
    _s("CACHE_TTL", types.seconds(0, 31_536_000), 3600.0, "seconds a finished summary or analysis is kept; 0: never"),
    _s("CACHE_BYTES", types.size(0, 2**40), 64 * _MIB, "the most bytes of finished answers kept; 0: none"),
    _s(
        "PROVIDER_CLIENT",
        types.choice("auto", "aiohttp", "openai"),
        "auto",
        "how the provider is called: aiohttp, or openai for the official SDK; auto is aiohttp, with AZURE_AUTH=entra "
        "the SDK",
    ),
    _s(
        "PROVIDERS_FILE",
        types.path,
        "",
        "the TOML file of several providers, in the place of OPENAI_BASE_URL, OPENAI_MODEL and OPENAI_API_KEY",
    ),
    _s("EXTRA_BODY", types.json_object, {}, "JSON merged into every provider request"),
    _s("SEND_USER", types.boolean, False, "send the provider an HMAC of user_id, under USER_SECRET"),
    _s("USER_SECRET", types.secret, "", "the site's secret for that HMAC", secret=True),
    _s(
        "USAGE_FILE",
        types.path,
        "",
        "the file that counts requests and tokens by hour, without content; off unless set",
    ),
    _s("USAGE_USERS", types.boolean, False, "count by user there, as an HMAC of user_id under USER_SECRET"),
    _s("USAGE_DAYS", types.integer(1, 3660), 400, "days that the file keeps"),
    _s("STRICT_STATUS", types.boolean, False, "answer failures on /ai with an HTTP error status"),
    *ANSWERS,
    _s(
        "REDIS_URL",
        addresses.redis,
        "",
        "the Redis or Valkey that holds jobs, or embedded for a private one; turns on jobs and offload",
        secret=True,
    ),
    _s("REDIS_PREFIX", types.prefix, "moodle-sidecar:", "how every key there begins"),
    _s(
        "STATE_DIR",
        types.path,
        "",
        "the folder of an embedded Valkey, and of the tokens of the day; by default systemd's STATE_DIRECTORY, else "
        "openai-moodle-sidecar under XDG_STATE_HOME or ~/.local/state",
    ),
    _s("JOB_QUEUE_SIZE", _count, 10_000, "the most jobs waiting or at work"),
    _s(
        "JOB_QUEUE_BYTES", types.size(1024, 2**40), 512 * _MIB, "the most bytes of the texts of jobs waiting or at work"
    ),
    _s("JOBS_MAX_BODY_BYTES", types.size(1024, 2**32), 64 * _MIB, "the largest body of a list of jobs"),
    _s("JOB_RESULT_TTL", types.seconds(1, 31_536_000), 259_200.0, "seconds a job's result is kept"),
    _s("JOB_TIMEOUT", types.seconds(1, 3600), 900.0, "seconds a job, or a line of a batch, may take once started"),
    _s("CALL_TIMEOUT", types.seconds(1, 3600), 120.0, "seconds one provider call of a job or a batch may take"),
    _s("WORKER_CONCURRENCY", types.integer(1, 1000), 4, "the most provider calls of a worker for jobs"),
    _s(
        "OFFLOAD_CONCURRENCY",
        types.integer(1, 1000),
        8,
        "the most provider calls of a worker for long summaries from /ai, beside those for jobs",
    ),
    _s("OFFLOAD_THRESHOLD", _count, 60_000, "a longer text to summarize on /ai, in characters, runs as a job"),
    _s("WORKER_METRICS_PORT", types.integer(0, 65535), 0, "the port of a worker's /metrics and /health; 0: none"),
    _s("WORKER_METRICS_HOST", types.host, "127.0.0.1", "the address of that port"),
    _s(
        "PASS_TRACEPARENT",
        types.boolean,
        False,
        "pass the trace of a request (traceparent, tracestate) to the provider",
    ),
    _s("TRACING", types.boolean, False, "record spans with OpenTelemetry, which reads the variables OTEL_*"),
    _s("LOG_FORMAT", types.choice("text", "json"), "text", "how a line of the log looks: text or json"),
    _s("LOG_LEVEL", types.choice("debug", "info", "warning", "error"), "info", "the least level logged"),
)

BY_FIELD: Final[Mapping[str, Setting]] = {setting.field: setting for setting in SETTINGS}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings in force; each field is the lower-case name of a row above. Times are in seconds, sizes in bytes."""

    openai_api_key: str
    openai_base_url: str
    openai_model: str
    openai_org_id: str
    openai_project_id: str
    azure_auth: str
    max_tokens: int
    completion_max_tokens: int
    model_passthrough: bool
    summarize_threshold: int
    http_mode: bool
    port: int
    host: str
    request_timeout: float
    processes: int
    concurrency: int
    queue_size: int
    queue_bytes: int
    max_body_bytes: int
    context_tokens: int
    shutdown_grace: float
    sidecar_token: str
    tokens_file: str
    allowed_hosts: str
    ai_require_token: bool
    allow_unauthenticated: bool
    stdio_max_processes: int
    cache_ttl: float
    cache_bytes: int
    provider_client: str
    providers_file: str
    extra_body: dict[str, Any]
    send_user: bool
    user_secret: str
    usage_file: str
    usage_users: bool
    usage_days: int
    strict_status: bool
    format: str
    html_safe: bool
    redis_url: str
    redis_prefix: str
    state_dir: str
    job_queue_size: int
    job_queue_bytes: int
    jobs_max_body_bytes: int
    job_result_ttl: float
    job_timeout: float
    call_timeout: float
    worker_concurrency: int
    offload_concurrency: int
    offload_threshold: int
    worker_metrics_port: int
    worker_metrics_host: str
    pass_traceparent: bool
    tracing: bool
    log_format: str
    log_level: str
    proxies: dict[str, str] = {}
    """Proxies by scheme ("https", "http", "all"), and under "no" the hosts without one, from the proxy variables."""
    ca_file: str = ""
    """The file of a private CA's certificates (SSL_CERT_FILE)."""
    openai_api_key_file: str = ""
    """The file that the key came from; blank for a key from elsewhere."""

    providers: tuple[ProviderSettings, ...] = ()
    """The providers of PROVIDERS_FILE; none without the file."""

    tokens: "TokensFile | None" = None
    """The content of TOKENS_FILE; None where it was not read: only server and worker may read the file."""

    @property
    def client(self) -> str:
        """The provider client of server, worker and batch: `aiohttp` or `openai`."""
        if self.provider_client != "auto":
            return self.provider_client
        return "openai" if self.azure_auth == "entra" else "aiohttp"

    @property
    def authentication(self) -> str:
        """The source of what the provider is shown, for people: `key`, `key file` or `entra`."""
        if self.azure_auth == "entra":
            return "entra"
        return "key file" if self.openai_api_key_file else "key"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets among the values, which must never be shown."""
        password = urlsplit(self.redis_url).password or ""
        keys = [provider.api_key for provider in self.providers]
        return tuple(filter(None, (self.openai_api_key, *keys, self.sidecar_token, self.user_secret, password)))

    @property
    def provider_host(self) -> str:
        """The host that receives the texts, with its port if the address names one."""
        return urlsplit(self.openai_base_url).netloc.rpartition("@")[2]

    def at(self, provider: ProviderSettings) -> "Settings":
        """Return the settings as they are where this is the only provider.

        The names of OpenAI's organization and project go to no provider of a file.
        """
        return msgspec.structs.replace(
            self,
            azure_auth=provider.azure_auth,
            openai_org_id="" if provider.name else self.openai_org_id,
            openai_project_id="" if provider.name else self.openai_project_id,
            openai_api_key=provider.api_key,
            openai_api_key_file=provider.api_key_file,
            openai_base_url=provider.base_url,
            openai_model=provider.model,
            provider_client=provider.client,
            extra_body=dict(provider.extra_body),
            concurrency=provider.concurrency,
            providers=(),
        )

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach `host`."""
        import ipaddress  # noqa: PLC0415 - late: only a server listens

        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def check_redis(self) -> None:
        """Raise `ConfigError` if no Redis for jobs is set."""
        if not self.redis_url:
            raise ConfigError(["REDIS_URL: required here; the Redis or Valkey that holds the jobs"])

    def check_listening(self) -> None:
        """Raise `ConfigError` if other machines could use a server with these settings without a token."""
        named = self.tokens is not None and self.tokens.tokens
        if not (self.loopback or self.sidecar_token or named or self.allow_unauthenticated):
            remedy = "ALLOW_UNAUTHENTICATED=true where a firewall or a private container network guards it"
            raise ConfigError([f"HOST={self.host}: other machines reach it, so set SIDECAR_TOKEN (or {remedy})"])
