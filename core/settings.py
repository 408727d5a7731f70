"""Every setting, once: the fields of `Settings` are the table that environment parsing, `sluice settings` and
docs/settings.md are made from.

A field `kafka_bootstrap` is read from `SLUICE_KAFKA_BOOTSTRAP`; a secret may also come from the file that
`SLUICE_KAFKA_SASL_PASSWORD_FILE` names. An unknown `SLUICE_*` variable is an error, because a misspelt setting
that is silently ignored is found out in production.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from core.errors import ConfigError

PREFIX = "SLUICE_"
_FILE_SUFFIX = "_FILE"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def _setting(
    default: Any,
    /,
    *,
    help: str,  # noqa: A002 (what it is called everywhere)
    unit: str = "",
    secret: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    metadata = {
        "help": f"{help} One of: {', '.join(filter(None, choices))}." if choices else help,
        "unit": unit,
        "secret": secret,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
    }
    # A secret is not in the repr, which ends up in logs and tracebacks.
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of all processes. Build with `Settings.from_env(os.environ)`."""

    # State and logs
    state_dir: Path = _setting(  # noqa: RUF009 (a path is immutable)
        Path(".sluice"), help="Folder of the embedded engines' data, logs, keys and locks."
    )
    log_level: str = _setting(
        "info", help="Least severe level that is logged.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "auto", help="auto is text on a terminal and JSON lines elsewhere.", choices=("auto", "json", "text")
    )
    failpoint: str = _setting("", help="For fault tests: `name:kill@3` or `name:stop`, several by commas.")

    # Contracts
    schemas_dir: str = _setting(
        "", help="Folder with your own event contracts (`avro/` and `lock.json`); empty uses the starter plan."
    )
    schema_registry_url: str = _setting(
        "", help="Schema registry whose ids our topics' records shall name; empty uses the ids of `lock.json`."
    )
    schema_registry_user: str = _setting("", help="User at the schema registry.")
    schema_registry_password: str = _setting("", secret=True, help="Password at the schema registry.")
    registry_host: str = _setting("127.0.0.1", help="Address our own read-only schema registry listens on.")
    registry_port: int = _setting(
        0, help="Port of our own schema registry; 0 picks a free one and keeps it.", minimum=0
    )

    # Kafka
    kafka_bootstrap: str = _setting("", help="host:port list of a Kafka to use; empty starts the embedded one.")
    kafka_port: int = _setting(0, help="Port of the embedded Kafka; 0 picks a free one and keeps it.", minimum=0)
    kafka_heap_mib: int = _setting(384, unit="MiB", help="Java heap of the embedded Kafka.", minimum=128)
    kafka_security_protocol: str = _setting(
        "PLAINTEXT", help="How Kafka is spoken to.", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    )
    kafka_sasl_mechanism: str = _setting(
        "", help="Empty where SASL is not used.", choices=("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    )
    kafka_sasl_username: str = _setting("", help="User of SASL.")
    kafka_sasl_password: str = _setting("", secret=True, help="Password of SASL.")
    kafka_ssl_ca_file: str = _setting("", help="PEM file of the authorities that may sign Kafka's certificate.")
    kafka_ssl_certificate_file: str = _setting("", help="PEM file of the client certificate (mutual TLS).")
    kafka_ssl_key_file: str = _setting("", help="PEM file of the client certificate's key.")
    kafka_ssl_key_password: str = _setting("", secret=True, help="Password of the client certificate's key.")
    topic_prefix: str = _setting("sluice.", help="Put before the name of every topic, group and transaction id.")
    partitions: int = _setting(
        4, help="Partitions of each raw topic. Start with enough: growing is a drained migration.", minimum=1
    )
    replication_factor: int = _setting(1, help="Copies of each topic; 3 in production.", minimum=1)
    raw_retention_hours: int = _setting(
        24 * 30, unit="h", help="How long raw events stay in Kafka, and so can be replayed from it.", minimum=1
    )
    curated_retention_hours: int = _setting(24 * 7, unit="h", help="How long derived topics keep records.", minimum=1)

    # Retention in ClickHouse, applied by `sluice retention apply`
    retention_archive_days: int = _setting(
        800, unit="days", help="How long raw records are kept in the archive; 0 is for ever.", minimum=0
    )
    retention_events_days: int = _setting(730, unit="days", help="How long events are kept; 0 is for ever.", minimum=0)
    retention_rollups_days: int = _setting(0, unit="days", help="How long rollups are kept; 0 is for ever.", minimum=0)
    retention_outcomes_days: int = _setting(
        800, unit="days", help="How long outcomes are kept; 0 is for ever.", minimum=0
    )
    retention_dead_letters_days: int = _setting(
        90, unit="days", help="How long dead letters are kept; 0 is for ever.", minimum=0
    )
    retention_audit_days: int = _setting(0, unit="days", help="How long the audit is kept; 0 is for ever.", minimum=0)
    retention_abuse_days: int = _setting(
        90, unit="days", help="How long is kept what collectors refused and dropped; 0 is for ever.", minimum=0
    )
    retention_personal_days: int = _setting(
        0,
        unit="days",
        help="After how long personal data is taken out of events and dead letters; 0 is never.",
        minimum=0,
    )
    retention_tenants: str = _setting(
        "", help="Tenants with a period of their own, in days: shop=90,blog=30. Holds for all that is in their name."
    )

    # ClickHouse
    clickhouse_url: str = _setting(
        "", help="http(s)://host:port of a ClickHouse to use; empty starts the embedded one."
    )
    clickhouse_port: int = _setting(
        0, help="Port of the embedded ClickHouse; 0 picks a free one and keeps it.", minimum=0
    )
    clickhouse_user: str = _setting("default", help="User at ClickHouse.")
    clickhouse_password: str = _setting("", secret=True, help="Password at ClickHouse; generated for the embedded one.")
    clickhouse_database: str = _setting("sluice", help="Database of all tables and views.")
    clickhouse_cluster: str = _setting(
        "", help="Cluster that tables are made on, replicated; empty makes plain tables on one server."
    )
    clickhouse_ca_file: str = _setting("", help="PEM file of the authorities that may sign ClickHouse's certificate.")
    clickhouse_verify_tls: bool = _setting(True, help="Check ClickHouse's certificate. Turn off in tests only.")  # noqa: FBT003

    # Collector
    collector_host: str = _setting("127.0.0.1", help="Address the collector listens on.")
    collector_port: int = _setting(0, help="Port of the collector; 0 picks a free one and keeps it.", minimum=0)
    collector_workers: int = _setting(1, help="Collector processes on one port.", minimum=1, maximum=256)
    collector_worker_id: str = _setting(
        "", help="Which of several collector processes this is; set by whoever starts them."
    )
    collector_tls_certificate_file: str = _setting(
        "", help="PEM file of the collector's certificate and its chain; empty serves plain HTTP."
    )
    collector_tls_key_file: str = _setting("", help="PEM file of that certificate's key.")
    collector_tls_key_password: str = _setting("", secret=True, help="Password of that key.")
    collector_url: str = _setting(
        "", help="Collector that clients such as `sluice import` send to; empty: the local one."
    )
    collector_max_event_bytes: int = _setting(64 * 1024, unit="bytes", help="Largest single event.", minimum=1024)
    collector_max_body_bytes: int = _setting(
        1024 * 1024, unit="bytes", help="Largest request body, after inflation.", minimum=1024
    )
    collector_max_batch_events: int = _setting(2_500, unit="events", help="Most events in one request.", minimum=1)
    collector_tenant_live_rate: int = _setting(
        # Far above it, workers fall behind and every tenant's events are late.
        10_000,
        unit="events/s",
        help="Events a second of one tenant, and five times as many at once, that a collector process lets into the "
        "live lane; what is more goes through the historic one. 0: no bound.",
        minimum=0,
    )
    collector_max_connections: int = _setting(
        10_000, unit="connections", help="Most open connections of a collector process.", minimum=1
    )
    collector_cors_origins: str = _setting(
        "*", help="Origins of web pages that may read answers, by commas, such as https://*.shop.example; * for all."
    )
    collector_log_requests_per_s: int = _setting(
        20,
        unit="lines/s",
        help="Most log lines a second for requests that went well; others are always logged.",
        minimum=0,
    )
    collector_ack_timeout_ms: int = _setting(
        # Below the pauses of a healthy broker, events are spooled and sent twice for nothing.
        2_000,
        unit="ms",
        help="How long a request waits for Kafka's acknowledgement before its events go to the spool.",
        minimum=100,
    )
    spool_dir: str = _setting(
        "", help="Folder of the collectors' spools, on a local disk that survives restarts; empty: in the state folder."
    )
    spool_max_mib: int = _setting(
        1024, unit="MiB", help="Most that one collector process spools while Kafka is away; 0 turns it off.", minimum=0
    )
    spool_drain_rate: int = _setting(
        # Above what one collector takes in at its busiest, below what makes a broker that just came back struggle.
        20_000,
        unit="records/s",
        help="How fast a spool is drained to Kafka, on top of twice what arrives meanwhile.",
        minimum=1,
    )
    bootstrap_key: str = _setting(
        "", secret=True, help="Tracking key that always works; generated at first start if empty."
    )
    bootstrap_tenant: str = _setting("demo", help="Tenant of the bootstrap key.")
    limit_client_per_minute: int = _setting(
        300,
        help="Requests a minute of one key from one client address, with a burst of as many; 0 turns it off.",
        minimum=0,
        maximum=1_000_000_000,
    )
    limit_key_per_minute: int = _setting(
        0, help="Requests a minute of one key from all clients; 0 turns it off.", minimum=0, maximum=1_000_000_000
    )
    limit_tenant_per_minute: int = _setting(
        0, help="Requests a minute of one tenant with all its keys; 0 turns it off.", minimum=0, maximum=1_000_000_000
    )
    limit_refused_per_minute: int = _setting(
        30,
        help="Keys that do not work a client may try a minute before it gets 429; 0 turns it off.",
        minimum=0,
        maximum=1_000_000_000,
    )
    collector_trusted_proxies: str = _setting(
        "",
        help="Whose X-Forwarded-For counts: how many proxies a request passes, or their networks with commas.",
    )
    key_pepper: str = _setting(
        "",
        secret=True,
        help="Tracking keys are hashed with it: the same for all collectors. Generated in the state folder if empty.",
    )
    admin_token: str = _setting(
        "", secret=True, help="Token of the API that manages tracking keys; generated in the state folder if empty."
    )

    redact_parameters: str = _setting(
        "token,secret,password",
        help="Words, by commas: a URL parameter whose name contains one has its value taken out before anything is "
        "written.",
    )
    redact_properties: str = _setting(
        "password,passwd,secret,authorization,api_key,apikey,access_token,refresh_token,id_token",
        help="Words, by commas: the same for properties and fields of the context.",
    )
    essential_events: str = _setting(
        "",
        help="Names of events, by commas, with an essential purpose: kept without consent and in spite of DNT and GPC.",
    )
    dnt: str = _setting(
        "drop", help="What happens to events of a browser that sends `DNT: 1`.", choices=("drop", "ignore")
    )
    gpc: str = _setting(
        "drop", help="What happens to events of a browser that sends `Sec-GPC: 1`.", choices=("drop", "ignore")
    )

    # Streams
    streams_batch_events: int = _setting(
        # More, and a batch's outcome record outgrows a Kafka message.
        10_000,
        unit="events",
        help="Most events in one stream transaction.",
        minimum=1,
        maximum=50_000,
    )
    streams_batch_bytes: int = _setting(
        # A worker holds four batches at most, and what becomes of one of them.
        16 * 1024 * 1024,
        unit="bytes",
        help="Bytes of raw records after which no more are gathered for one stream transaction.",
        minimum=1024 * 1024,
    )
    streams_historic_batch_events: int = _setting(
        # A live event waits for one such transaction at most: more delays it, fewer make imports slow.
        1_000,
        unit="events",
        help="Most events of the historic lane in one stream transaction.",
        minimum=1,
        maximum=50_000,
    )
    streams_worker_id: str = _setting(
        "0", help="Stable name of this worker or processor among its group (static membership)."
    )
    streams_web_port: int = _setting(0, help="Port of the stream worker's Faust web server; 0 turns it off.", minimum=0)
    dedupe_window_hours: int = _setting(24, unit="h", help="How long a repeated event id is recognised.", minimum=1)
    dedupe_window_ids: int = _setting(
        2_000_000,
        unit="ids",
        help="Most ids remembered per partition; whichever of the two bounds ends first.",
        minimum=1,
    )
    dead_letter_ratio: float = _setting(
        0.05,
        help="Share of a contract's events that may be dead-lettered in 5 minutes; above it is an alert.",
        minimum=0.0001,
        maximum=1.0,
    )
    dead_letter_run: int = _setting(
        500, unit="events", help="Dead letters of one contract, one after the other, that are an alert.", minimum=1
    )
    dead_letter_halt: bool = _setting(
        False,  # noqa: FBT003
        help="Pause all stream workers when a contract released within the hour fails for several tenants.",
    )
    enrich_user_agent: bool = _setting(True, help="Fill in browser, system, device and bots.")  # noqa: FBT003
    enrich_referrer: bool = _setting(True, help="Fill in the type and name of the referrer.")  # noqa: FBT003
    enrich_campaign: bool = _setting(True, help="Fill in UTM parameters, click id and channel.")  # noqa: FBT003
    enrich_geo_mmdb: str = _setting(
        "", help="MaxMind DB file with countries or cities; empty leaves the place out. Read again when it is replaced."
    )
    enrich_session: bool = _setting(True, help="Give events without a session one: a visitor's day (UTC).")  # noqa: FBT003
    enrich_budget_us: int = _setting(
        # Ten times what the costliest step takes with a warm cache. Lower, and new user agents switch it off.
        20,
        unit="us",
        help="Time a step of the enrichment may take per event, on average; above it the step is off for a minute.",
        minimum=1,
    )

    # Sinks
    sink_batch_rows: int = _setting(50_000, unit="rows", help="Most rows in one insert (one block).", minimum=1)
    sink_linger_ms: int = _setting(
        200, unit="ms", help="How long a sink gathers rows before it inserts fewer.", minimum=0
    )
    sink_inserts_at_once: int = _setting(
        # One waits for the disk or for a view's last thread while the other computes. More only share the cores.
        2,
        unit="inserts",
        help="Inserts of different partitions that a sink has under way at once.",
        minimum=1,
    )
    sink_worker_id: str = _setting("0", help="Stable name of this sink among its group (static membership).")
    suppression_file: str = _setting(
        "", help="File of subjects that stay out of every replay: JSON, one object a line; empty: nobody."
    )
    metrics_port: int = _setting(
        0, help="Port of the Prometheus endpoint of stream workers, sinks and processors; 0 turns it off.", minimum=0
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Parse the `SLUICE_*` variables of `environ`.

        Raises:
            ConfigError: unknown variable (names the nearest setting), malformed value, unreadable secret file.
        """
        known = {variable(f.name): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for name in sorted(n for n in environ if n.startswith(PREFIX)):
            base = name.removesuffix(_FILE_SUFFIX)
            if name in known:
                f, text = known[name], environ[name]
            elif base in known and known[base].metadata["secret"]:
                f, text = known[base], _read_secret(name, environ[name])
            else:
                raise ConfigError(f"{name} is not a setting of Sluice", hint=_nearest(name, [*known]))
            if f.name in values:
                raise ConfigError(f"{base} and {name} are both set", hint="Set one of them.")
            values[f.name] = _parse(f.type, text, name, f.metadata)
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """The variables that make a child process see the same settings. Defaults are left out."""
        out = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value != f.default:
                out[variable(f.name)] = ("1" if value else "0") if isinstance(value, bool) else str(value)
        return out


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One row of the table as `sluice settings` and docs/settings.md show it."""

    name: str
    variable: str
    type: str
    unit: str
    default: str
    help: str
    secret: bool


def rows() -> list[SettingRow]:
    out = []
    for f in fields(Settings):
        assert f.default is not MISSING  # noqa: S101 (the table is built by _setting, which always has one)
        default = str(int(f.default)) if isinstance(f.default, bool) else str(f.default)
        out.append(
            SettingRow(
                f.name,
                variable(f.name),
                str(f.type),
                f.metadata["unit"],
                default,
                f.metadata["help"],
                f.metadata["secret"],
            )
        )
    return out


def variable(name: str) -> str:
    return PREFIX + name.upper()


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # a limit that nothing is above or below
        raise ValueError(text)
    return value


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": (_number, "a number"),
    "bool": (_bool, "1 or 0"),
    "Path": (Path, "a path"),
}


def _parse(type_: Any, text: str, name: str, metadata: Mapping[str, Any]) -> Any:
    parser, form = _PARSERS[str(type_)]
    try:
        value = parser(text.strip())
    except ValueError:
        raise ConfigError(f"{name} must be {form}, not {text!r}") from None
    low, high, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if low is not None and value < low:
        raise ConfigError(f"{name} must be at least {low:g}, not {text!r}")
    if high is not None and value > high:
        raise ConfigError(f"{name} must be at most {high:g}, not {text!r}")
    if choices and value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(filter(None, choices))}, not {text!r}")
    return value


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{name} names {path}, which cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} names {path}, which is not UTF-8 text") from error


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else "`sluice settings` lists them all."
