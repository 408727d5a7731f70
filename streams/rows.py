"""The value of a curated record: schema `event`, version 4, written by hand for speed.

It is put together as text of one character a byte (latin-1), because one f-string is the fastest way that Python has to
join many pieces. Pieces that repeat from event to event are in that form already: what events with one head have in
common (`Kind`), what enrichment says of one user agent or referrer. Held equal to the generated encoder, and so to
fastavro, by a property test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias

from core.ids import dedupe_hash
from schemas import framing
from schemas.codegen.structs import millis
from schemas.codegen.varints import for_text, varint
from schemas.contracts import Contract
from schemas.envelope import Head
from schemas.registry import bundled
from streams.enrich.chain import Columns
from streams.enrich.facts import NO_AGENT, NO_CAMPAIGN, NO_PLACE, NO_REFERRER, Agent
from streams.enrich.memo import Memo

_VERSION = 4
NO_TEXT = "\0"  # the empty string: its length alone
EMPTY_OBJECT = "\x04{}"
_BOOLEANS = ("\0", "\x01")


def latin(text: str) -> str:
    """`text` with one character for each of its UTF-8 bytes."""
    return text if text.isascii() else text.encode().decode("latin-1")


def number(value: int) -> str:
    return varint(value).decode("latin-1")


def sized(text: str) -> str:
    """An Avro string."""
    return _sized(latin(text))


def _sized(text: str) -> str:
    return number(len(text)) + text


_CONSENTS = {state: sized(state) for state in ("pending", "granted", "denied")}


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What events have in common that have one head, were judged by one contract and had times of one kind.

    `event_type` and `name` are what such events usually say, and `named` both of them encoded. `new_id()` is the hash
    for dedupe ids of the tenant.
    """

    label: str
    tenant: str
    event_type: str
    name: str
    lead: str  # tenant, event, version
    named: str
    source: str
    shape: str  # stable_version
    clamped: str  # time_clamped
    new_id: Callable[[], hashlib.blake2b]

    @classmethod
    def of(cls, head: Head, contract: Contract, *, event_type: str, name: str, time_clamped: str = "") -> Kind:
        return cls(
            label=contract.label,
            tenant=head.tenant,
            event_type=event_type,
            name=name,
            lead=sized(head.tenant) + sized(contract.subject) + number(contract.version),
            named=sized(event_type) + sized(name),
            source=sized(head.source),
            shape=number(contract.stable_version),
            clamped=sized(time_clamped),
            new_id=dedupe_hash(head.tenant).copy,
        )


# Of one valid event: its kind; raw offset; arrival, milliseconds; the time it was received, encoded; the event, with
# the attributes of a TrackedEvent whose texts have one character a byte; its properties, so too; context and extra,
# encoded. A plain tuple: it is made and taken apart for every event, which costs a named one three times as much.
Row: TypeAlias = tuple[Kind, int, int, str, Any, str, str, str]


def encoded(partition: int, rows: Sequence[Row], columns: Columns | None, *, are_short: bool) -> list[bytes]:
    """The record of each row. Without `columns` nothing is enriched.

    `are_short` promises that no text of the rows has `varints.LENGTHS` bytes or more.
    """
    tails, sessions = (repeat(_NO_TAIL), iter(())) if columns is None else (_tails(columns), iter(columns.made))
    # As generated code calls them (schemas/codegen/varints.py).
    table, consents = for_text(), _CONSENTS
    small, low, high, lengths = table["V"], table["LOW"], table["HIGH"], table["LENGTH" if are_short else "V"]
    lead = (framing.prefix(bundled().get("event", _VERSION).id) + varint(partition)).decode("latin-1")
    arrived, arrival = -1, ""
    values: list[bytes] = []
    add = values.append
    for (kind, offset, arrival_ms, received, event, properties, context, extra), tail in zip(rows, tails, strict=False):
        if arrival_ms != arrived:  # many records are appended at once
            arrived, arrival = arrival_ms, number(arrival_ms)
        type_, name, at = event.event_type, event.name, event.occurred_at
        named = kind.named if type_ == kind.event_type and name == kind.name else _sized(type_) + _sized(name)
        if at.__class__ is not int:
            at = millis(at)
        id_, visitor, session = event.event_id, event.visitor_id, event.session_id or next(sessions, "")
        user, url, referrer = event.user_id, event.url, event.referrer
        add(
            (
                f"{lead}{low[offset & 8191] + high[offset >> 13] if offset > 8191 else small[offset]}"
                f"{arrival}{received}{low[at & 8191] + high[at >> 13] if at > 8191 else small[at]}{kind.lead}{named}"
                f"{lengths[len(id_)]}{id_}{lengths[len(visitor)]}{visitor}{lengths[len(session)]}{session}"
                f"{lengths[len(user)]}{user}{lengths[len(url)]}{url}{lengths[len(referrer)]}{referrer}"
                f"{consents[event.consent_state]}{kind.source}"
                f"{lengths[len(properties)]}{properties}{context}{kind.shape}{extra}{tail}{kind.clamped}"
            ).encode("latin-1")
        )
    return values


# -- what enrichment adds: the fields from `ua_browser` to `session_derived`


def _tails(columns: Columns) -> Iterator[str]:
    steps = (columns.agents, columns.referrers, columns.campaigns, columns.channels, columns.places, columns.derived)
    agents, parts, channels = _agents, _parts, _channels
    for agent, referrer, campaign, channel, place, is_derived in zip(*steps, strict=True):
        kept = campaign[3:]  # source, medium and name are read from the address by the engine
        yield (
            f"{agents[agent]}{parts[referrer]}{_NO_CLICK if kept == _NONE_KEPT else _all_sized(kept)}"
            f"{channels[channel]}{parts[place]}{_BOOLEANS[is_derived]}"
        )


def _all_sized(texts: tuple[str, ...]) -> str:
    return "".join(map(sized, texts))


# User agents, sources and places repeat.
_REMEMBERED = 4_096
_agents: Memo[Agent, str] = Memo(lambda agent: _all_sized(agent[:4]) + _BOOLEANS[agent[4]], size=_REMEMBERED)
_parts: Memo[tuple[str, ...], str] = Memo(_all_sized, size=_REMEMBERED)
_channels: Memo[str, str] = Memo(sized, size=_REMEMBERED)
_NONE_KEPT = NO_CAMPAIGN[3:]
_NO_CLICK = _all_sized(_NONE_KEPT)
_NO_TAIL = "".join((_agents[NO_AGENT], _parts[NO_REFERRER], _NO_CLICK, NO_TEXT, _parts[NO_PLACE], _BOOLEANS[False]))
