"""Dead letters by cause: how many, since when, from whom; samples; what repairs them."""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import InputError
from replay.suggesting import Sample
from schemas import envelope
from schemas.faults import Fault
from sinks.clickhouse import ClickHouse

# The collector writes payloads, and this is how it begins one.
_PAYLOAD = """substring(raw, position(raw, '{"event_id"'))"""
_APP = (
    f"concat(JSONExtractString({_PAYLOAD}, 'context', 'device', 'app_name'), ' ', "
    f"JSONExtractString({_PAYLOAD}, 'context', 'device', 'app_version'))"
)
_TOP = 5
_WHERE = (
    "arrival_day >= toDate(fromUnixTimestamp64Milli({since:Int64})) "
    "AND arrival_at >= fromUnixTimestamp64Milli({since:Int64}) "
    "AND ({tenant:String} = '' OR tenant = {tenant:String}) AND ({event:String} = '' OR event = {event:String}) "
    "AND ({code:String} = '' OR code = {code:String})"
)


class Cause(msgspec.Struct, frozen=True):
    """Dead letters of one fingerprint. `share` is of all records that the contract judged in the time (0 to 1).

    `tenants` and `apps` are the commonest, with their number.
    """

    fingerprint: str
    event: str
    version: int
    code: str
    path: str
    expected: str
    records: int
    share: float
    first_ms: int
    last_ms: int
    tenants: list[tuple[str, int]]
    apps: list[tuple[str, int]]


class DeadLetterSample(msgspec.Struct, frozen=True):
    """One dead letter with its bytes: `payload` is what could be read of it, `raw` the record's value as hex."""

    partition: int
    offset: int
    arrival_ms: int
    tenant: str
    event: str
    version: int
    faults: list[tuple[str, str, str, str]]
    traceparent: str
    payload: str
    raw: str


def top(
    server: ClickHouse, *, since_ms: int, tenant: str = "", event: str = "", code: str = "", limit: int = 20
) -> list[Cause]:
    """The commonest causes since `since_ms`."""
    bound: dict[str, str | int] = {"since": since_ms, "tenant": tenant, "event": event, "code": code}
    rows = server.rows(
        "SELECT fingerprint, any(event), any(version), any(code), any(faults[1].path), any(faults[1].expected), "  # noqa: S608
        "count() AS records, toUnixTimestamp64Milli(min(arrival_at)), toUnixTimestamp64Milli(max(arrival_at)), "
        f"topK({_TOP}, 3, 'counts')(toString(tenant)), topK({_TOP}, 3, 'counts')({_APP}) "
        f"FROM dead_letters_pii WHERE {_WHERE} GROUP BY fingerprint ORDER BY records DESC, fingerprint LIMIT {limit}",
        **bound,
    )
    judged = dict(
        server.rows(
            "SELECT label, sum(number) FROM outcomes "
            "ARRAY JOIN mapKeys(contracts) AS label, mapValues(contracts) AS number "
            "WHERE arrival_at >= fromUnixTimestamp64Milli({since:Int64}) GROUP BY label",
            since=since_ms,
        )
    )
    return [
        Cause(
            fingerprint=print_,
            event=name,
            version=version,
            code=reason,
            path=path,
            expected=expected,
            records=records,
            share=round(records / max(records, int(judged.get(f"{name}:{version}", 0))), 6),
            first_ms=first_ms,
            last_ms=last_ms,
            tenants=_counted(tenants),
            apps=[(name, number) for name, number in _counted(apps) if name],
        )
        for print_, name, version, reason, path, expected, records, first_ms, last_ms, tenants, apps in rows
    ]


def samples(server: ClickHouse, fingerprint: str, *, limit: int) -> list[DeadLetterSample]:
    """Dead letters of one cause, the latest first.

    Raises:
        InputError: there are none.
    """
    rows = server.rows(
        "SELECT raw_partition, raw_offset, toUnixTimestamp64Milli(arrival_at), tenant, event, version, faults, "  # noqa: S608
        "traceparent, hex(raw) FROM dead_letters_pii WHERE fingerprint = {print:String} "
        f"ORDER BY arrival_at DESC LIMIT {limit}",
        print=fingerprint,
    )
    if not rows:
        raise InputError(f"no dead letter has the fingerprint {fingerprint!r}", hint="`sluice dlq top` lists them.")
    return [
        DeadLetterSample(
            partition=partition,
            offset=offset,
            arrival_ms=arrival_ms,
            tenant=tenant,
            event=event,
            version=version,
            faults=[_fault(each) for each in faults],
            traceparent=traceparent,
            payload=_payload(bytes.fromhex(raw)),
            raw=raw.lower(),
        )
        for partition, offset, arrival_ms, tenant, event, version, faults, traceparent, raw in rows
    ]


def trial_samples(found: list[DeadLetterSample]) -> list[Sample]:
    """What a suggestion is tried on: those of which the envelope can be read."""
    out = []
    for each in found:
        try:
            sent = envelope.decode(bytes.fromhex(each.raw))
        except InputError:
            continue
        out.append(Sample(sent.head.version, bytes(sent.payload)))
    return out


def _counted(found: list[Any]) -> list[tuple[str, int]]:
    return [(str(value).strip(), int(number)) for value, number, *_ in map(_values, found)]


def _values(each: Any) -> list[Any]:
    """ClickHouse writes a named tuple as an object or as a list, by its settings."""
    return list(each.values()) if isinstance(each, dict) else list(each)


def _fault(each: Any) -> tuple[str, str, str, str]:
    fault = Fault(*_values(each))
    return fault.code, fault.path, fault.expected, fault.got


def _payload(raw: bytes) -> str:
    try:
        return bytes(envelope.decode(raw).payload).decode("utf-8", "replace")
    except InputError:
        return ""
