"""The topics of Sluice: names and what is declared about each. Applied by `infra.topics`, used by every room."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from core.settings import Settings

_HOUR_MS = 3_600_000
# Two years: what is asked of an audit trail, and a handful of records a day.
_AUDIT_MS = 2 * 365 * 24 * _HOUR_MS
# Kafka's own default leaves no room for a 1 MiB event in its envelope.
MAX_RAW_MESSAGE_BYTES = 2 * 1024 * 1024
# A dead letter holds a raw record and more.
MAX_MESSAGE_BYTES = 2 * MAX_RAW_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as declared: `config` holds Kafka's topic configuration names.

    `grows`: partitions may be added to one that exists, because whoever writes it chooses them.
    """

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of all topics under one prefix.

    raw           collector → streams: envelopes, key tenant|visitor
    raw_historic  the same for imports, and for what a tenant sends too much of (`core.lanes`)
    curated       streams → sinks: one Avro record a valid, first-seen event; partition = number of the raw partition
    dead_letters  streams → whoever repairs: original bytes and reasons
    outcomes      streams → ledger, dedupe windows: one record a batch and partition
    control       operators → all: low-rate commands and state, followed by every process
    audit         collector, operators → ClickHouse: who did what to keys, flags and data
    abuse         collector → ClickHouse: refused requests, counted by who and why
    drops         collector → ClickHouse: events understood and not stored, counted by tenant, event and reason
    restated_ids  replay → streams: ids of events that come back, for the dedupe windows (`streams.restated`)
    restatements  replay → whoever copies rows: days whose rows are others from now on
    """

    raw: str
    raw_historic: str
    curated: str
    dead_letters: str
    outcomes: str
    control: str
    audit: str
    abuse: str
    drops: str
    restated_ids: str
    restatements: str

    @classmethod
    def named(cls, prefix: str) -> Topics:
        return cls(**{each.name: f"{prefix}{each.name}" for each in fields(cls)})


def declared(settings: Settings) -> list[Topic]:
    names = Topics.named(settings.topic_prefix)
    raw_ms = str(settings.raw_retention_hours * _HOUR_MS)
    derived_ms = str(settings.curated_retention_hours * _HOUR_MS)
    base = {
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "min.insync.replicas": str(max(1, settings.replication_factor - 1)),
    }
    # Windows are asked for by arrival time, so the broker's clock stamps raw records.
    raw = base | {
        "retention.ms": raw_ms,
        "max.message.bytes": str(MAX_RAW_MESSAGE_BYTES),
        "message.timestamp.type": "LogAppendTime",
    }
    # Derived records carry the arrival time of their raw record.
    derived = base | {"retention.ms": derived_ms, "message.timestamp.type": "CreateTime"}
    # Low-rate, and in one order.
    told = base | {"message.timestamp.type": "LogAppendTime"}
    copies = settings.replication_factor
    return [
        *(Topic(name, settings.partitions, copies, raw) for name in (names.raw, names.raw_historic)),
        # One for each raw partition of both lanes.
        *(
            Topic(name, 2 * settings.partitions, copies, derived, grows=True)
            for name in (names.curated, names.dead_letters, names.outcomes)
        ),
        # As long as outcomes, which the windows are made of too.
        Topic(names.restated_ids, settings.partitions, copies, told | {"retention.ms": derived_ms}),
        Topic(names.control, 1, copies, base | {"cleanup.policy": "compact"}),
        Topic(names.audit, 1, copies, told | {"retention.ms": str(_AUDIT_MS)}),
        *(Topic(name, 1, copies, told | {"retention.ms": derived_ms}) for name in (names.abuse, names.drops)),
        Topic(names.restatements, 1, copies, told | {"retention.ms": str(_AUDIT_MS)}),
    ]
