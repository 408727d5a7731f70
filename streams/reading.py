"""From raw records to rows: the envelope taken apart, the event decoded and judged by its contract.

Nearly all records look alike, and take the short way: a head that was seen before, lengths of one or two bytes, a JSON
text without escapes in its addresses and ids, properties that one decoder takes whole. Whatever is different in any way
is read anew by the long way, which the short one is held equal to by a property test, and which alone says what is
wrong with a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from core.errors import InputError
from core.ids import dedupe_id
from schemas import envelope
from schemas.codegen.compiled import DECODE_ERRORS, QUICK_BYTES
from schemas.codegen.structs import millis
from schemas.contracts import Contract, ContractError, Contracts, Judged
from schemas.envelope import Envelope, Head
from schemas.faults import Fault
from streams.enrich.facts import Facts
from streams.records import DeadLetter
from streams.rows import EMPTY_OBJECT, NO_TEXT, Kind, Row, latin, number, sized

# Counted for records that no contract could judge. Names that clients chose never become keys of an outcome: a batch
# of them would make a record larger than Kafka takes.
NOT_JUDGED = ":0"
# Clients choose what a head holds, so what is remembered is bounded; a full memo starts anew.
_MOST_REMEMBERED = 16_384
_NOTHING = msgspec.Raw(b"{}")
_BACKSLASH = ord("\\")


class RawRecord(NamedTuple):
    """One record of the raw topic. `arrival_ms` is the broker's append time."""

    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


class Part:
    """What a part of a batch became. A row, a dedupe id and, if asked for, facts of each valid record, in order; a dead
    letter of each other one.

    `traces` holds the W3C trace context of the records that came with one, by raw offset; a dead letter has its own.
    `judged` and `unplanned` count by the label of contracts: what they judged, and of that what had properties that
    they do not declare. `are_short` is as `rows.encoded` asks for it.
    """

    __slots__ = ("are_short", "dead_letters", "facts", "ids", "judged", "rows", "traces", "unplanned")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.ids: list[bytes] = []
        self.facts: list[Facts] = []
        self.dead_letters: list[DeadLetter] = []
        self.traces: dict[int, str] = {}
        self.judged: Counter[str] = Counter()
        self.unplanned: Counter[str] = Counter()
        self.are_short = True


class _TextEvent(msgspec.Struct, frozen=True, gc=False):
    """What rows read of a TrackedEvent. Texts have one character a byte."""

    event_id: str
    event_type: str
    name: str
    visitor_id: str
    session_id: str
    user_id: str
    url: str
    referrer: str
    consent_state: str
    occurred_at: int


class _TimeBytes(dict[bytes, str]):
    """Text of bytes that a number goes on with, or that it ends with: two and four of them are a time."""

    def __init__(self, *, is_end: bool) -> None:
        super().__init__()
        self._is_end = is_end

    def __missing__(self, encoded: bytes) -> str:
        *others, last = encoded
        if any(byte < 128 for byte in others) or not (0 < last < 128 if self._is_end else last > 127):
            raise _UnusualError
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        text = self[encoded] = encoded.decode("latin-1")
        return text


class _UnusualError(Exception):
    """The record takes the long way."""


class _RejectedError(Exception):
    def __init__(self, letter: DeadLetter, label: str) -> None:
        super().__init__(letter.code)
        self.letter = letter
        self.label = label


# What a record can make the short way raise: bytes that end too early or are no text, a head or a form of its event
# that is not the usual one.
_UNUSUAL = (_UnusualError, LookupError, *DECODE_ERRORS)


class Reader:
    """Reads by one set of contracts. Not thread-safe."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        # By the bytes that a usual record begins with: its kind, the check of its properties, and whether that is wide.
        self._usual: dict[bytes, tuple[Kind, Callable[[msgspec.Raw], object], bool]] = {}
        self._kinds: dict[tuple[Head, Contract, str], Kind] = {}
        # The time it was received: the first two bytes of six repeat every 8 seconds, the others change as often.
        self._time_begins, self._time_ends = _TimeBytes(is_end=False), _TimeBytes(is_end=True)

    def read(  # noqa: C901, PLR0915 (a loop with all in it: a call a record costs a tenth of a microsecond)
        self, partition: int, records: Iterable[RawRecord], *, with_facts: bool
    ) -> Part:
        """What becomes of records of one partition by themselves, without regard to what was seen before."""
        part = Part()
        add_row, add_id, add_facts = part.rows.append, part.ids.append, part.facts.append
        usual, begins, ends = self._usual, self._time_begins, self._time_ends
        decode = self._contracts.tracked.strict
        for record in records:
            offset, arrival_ms, _, value = record
            try:
                if value is None:
                    raise _UnusualError
                # The envelope's fields in their order; a length counts twice, for it may have a sign.
                size = value[5]
                at = 6 + (size >> 1) if size < 128 else 7 + ((size & 127 | value[6] << 7) >> 1)
                kind, check, is_wide = usual[value[:at]]
                at += 16  # the receipt id
                received = begins[value[at : at + 2]] + ends[value[at + 2 : at + 6]]
                at += 7
                trace = value[at - 1]
                end = at + (trace >> 1)
                agent, begin, more = value[end], end + 1, 0
                if agent > 127:
                    more = value[begin]
                    agent, begin = agent & 127 | more << 7, begin + 1
                end = begin + (agent >> 1)
                ip = value[end]
                rest = end + 1 + (ip >> 1)
                low, high, payload = value[rest], value[rest + 1], value[rest + 2 :]
                if (
                    (low & 127 | high << 7) != len(payload) << 1
                    or not low > 127 > high
                    or (trace | agent | ip) & 1  # a length below 0
                    or (trace | more | ip) > 127
                    or not value[begin:rest].isascii()
                    or (trace and not value[at : at + (trace >> 1)].isascii())
                ):
                    raise _UnusualError
                is_ascii = payload.isascii()
                if not is_ascii:
                    payload = _one_character_a_byte(payload, is_wide=is_wide)
                event = decode(payload)
                check(event.properties)
                if (
                    event.context != _NOTHING
                    or event.time_clamped
                    or (_BACKSLASH in payload and not _texts_are_ascii(event))
                ):
                    raise _UnusualError
                properties = str(event.properties, "utf-8")
                if with_facts:
                    url, referrer, session, visitor = event.url, event.referrer, event.session_id, event.visitor_id
                    if not is_ascii:
                        url, referrer, session, visitor = map(_characters, (url, referrer, session, visitor))
                    agent_text, ip_text = value[begin:end].decode(), value[end + 1 : rest].decode()
                    occurred = event.occurred_at
                    at_ms = occurred if occurred.__class__ is int else millis(occurred)
                    facts = Facts(url, referrer, agent_text, ip_text, session, visitor, at_ms, kind.tenant)
            except _UNUSUAL:
                self._read_anew(partition, record, part, with_facts=with_facts)
                continue
            made = kind.new_id()
            made.update(event.event_id.encode() if is_ascii else event.event_id.encode("latin-1"))
            add_id(made.digest())
            add_row((kind, offset, arrival_ms, received, event, properties, EMPTY_OBJECT, NO_TEXT))
            if trace:
                part.traces[offset] = value[at : at + (trace >> 1)].decode()
            if with_facts:
                add_facts(facts)
        for kind, count in Counter(map(_kind_of, part.rows)).items():
            part.judged[kind.label] += count
        return part

    # -- the long way

    def _read_anew(self, partition: int, record: RawRecord, part: Part, *, with_facts: bool) -> None:
        try:
            env, judged = self._judge(partition, record)
        except _RejectedError as rejected:
            part.dead_letters.append(rejected.letter)
            part.judged[rejected.label] += 1
            return
        event, contract = judged.event, judged.contract
        kind = self._kind(record, env.head, judged)
        part.ids.append(dedupe_id(env.head.tenant, event.event_id))
        if env.traceparent:
            part.traces[record.offset] = env.traceparent
        part.rows.append(
            (
                kind,
                record.offset,
                record.arrival_ms,
                number(env.received_at_ms),
                _text_event(event),
                latin(judged.properties),
                sized(judged.context),
                sized(judged.extra),
            )
        )
        if with_facts:
            part.facts.append(_facts_of(event, env))
        if judged.extra:
            part.unplanned[contract.label] += 1
        if len(env.payload) > QUICK_BYTES:
            part.are_short = False

    def _judge(self, partition: int, record: RawRecord) -> tuple[Envelope, Judged]:
        """Raises _RejectedError."""
        offset, arrival_ms, _, value = record
        try:
            env = envelope.decode(value or b"")
        except InputError as error:
            faults = [Fault(error.code, "$", "an envelope", "")]
            raise _RejectedError(DeadLetter(partition, offset, arrival_ms, faults, value or b""), NOT_JUDGED) from error
        head = env.head
        try:
            return env, self._contracts.judge(head.event, head.version, env.payload)
        except ContractError as error:
            contract = error.contract
            version, label = (contract.version, contract.label) if contract else (0, NOT_JUDGED)
            about = (head.tenant, head.event, version, env.traceparent)
            letter = DeadLetter(partition, offset, arrival_ms, error.faults, value or b"", *about)
            raise _RejectedError(letter, label) from error

    def _kind(self, record: RawRecord, head: Head, judged: Judged) -> Kind:
        """Of an event that was judged. What it begins with is usual from now on, if it may be."""
        contract = judged.contract
        event = judged.event
        clamped = event.time_clamped
        kind = self._kinds.get((head, contract, clamped))
        if kind is None:
            if len(self._kinds) >= _MOST_REMEMBERED:
                self._kinds.clear()
                self._usual.clear()
            kind = Kind.of(head, contract, event_type=event.event_type, name=event.name, time_clamped=clamped)
            self._kinds[head, contract, clamped] = kind
        beginning = envelope.beginning(record.value or b"")
        if beginning and not clamped and beginning not in self._usual:
            first = self._contracts.usual(head.event, head.version)
            if first is contract and contract.compiled.quick is not None:
                self._usual[beginning] = kind, contract.compiled.quick, contract.compiled.is_wide
        return kind


@lru_cache(maxsize=2)
def reader(contracts: Contracts) -> Reader:
    """The reader of these contracts: it remembers what their events have in common."""
    return Reader(contracts)


_kind_of = itemgetter(0)


def _one_character_a_byte(payload: bytes, *, is_wide: bool) -> bytes:
    """JSON text whose characters are the bytes of `payload`: what is decoded of it is in the form of a row's texts.

    Raises:
        _UnusualError: its contract counts characters.
        UnicodeDecodeError: it is no UTF-8.
    """
    if not is_wide:
        raise _UnusualError
    payload.decode()
    return payload.decode("latin-1").encode()


def _texts_are_ascii(event: Any) -> bool:
    """Else an escape may stand for a character that is not a byte."""
    return all(
        text.isascii()
        for text in (
            event.event_id,
            event.name,
            event.visitor_id,
            event.session_id,
            event.user_id,
            event.url,
            event.referrer,
        )
    )


def _characters(text: str) -> str:
    """Text of one character a byte as it was sent."""
    return text.encode("latin-1").decode()


def _facts_of(event: Any, sent: Envelope) -> Facts:
    """By the long way."""
    return Facts(
        event.url,
        event.referrer,
        sent.user_agent,
        sent.client_ip,
        event.session_id,
        event.visitor_id,
        millis(event.occurred_at),
        sent.head.tenant,
    )


def _text_event(event: Any) -> _TextEvent:
    return _TextEvent(
        latin(event.event_id),
        event.event_type,
        latin(event.name),
        latin(event.visitor_id),
        latin(event.session_id),
        latin(event.user_id),
        latin(event.url),
        latin(event.referrer),
        event.consent_state,
        millis(event.occurred_at),
    )
