"""Gives raw records their outcome by today's contracts and enrichment: the code of the streams, without their window.

Whether an event id is there already is not asked here: the live window has forgotten what a window of last week needs.
The tables know (`comparing`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.control import ControlFollower
from core.errors import InputError, SluiceError
from core.log import get_logger
from core.settings import Settings
from replay.selection import Selection
from schemas import envelope, released, repairs
from schemas.contracts import Contracts
from schemas.registry import Registry
from schemas.repairs import Rule
from streams.batch import CuratedRecord, RawRecord, process
from streams.enrich.chain import Chain
from streams.records import DeadLetter
from streams.window import DedupeWindow

log = get_logger(__name__)


class _WithId(msgspec.Struct):
    event_id: str = ""


_ID = msgspec.json.Decoder(_WithId)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of the selected records of one batch. `repeats` are raw offsets whose id came before in the batch."""

    selected: int
    curated: list[tuple[int, CuratedRecord]]  # with the raw offset
    dead_letters: list[DeadLetter]
    repeats: list[RawRecord]


class Judging:
    """Judges by `contracts`; without a `chain` nothing is enriched."""

    def __init__(self, selection: Selection, *, contracts: Contracts, chain: Chain | None) -> None:
        self._selection = selection
        self._contracts = contracts
        self._chain = chain
        self._by_head = bool(selection.tenant or selection.event or selection.version is not None)
        self._ids = frozenset(selection.event_ids)
        self._written = tuple(msgspec.json.encode(each) for each in selection.event_ids)
        # Nothing is ever added: it knows no id.
        self._window = DedupeWindow(max_age_ms=1, max_ids=1)

    def judge(self, number: int, records: Sequence[RawRecord], *, only: Container[int] | None = None) -> Verdicts:
        """Verdicts on those of `records` that are selected. `number` is their raw partition's (`core.lanes`).

        `only` holds the raw offsets that conditions on what became of them so far have left.
        """
        chosen = list(records) if only is None else [record for record in records if record.offset in only]
        if self._by_head or self._ids:
            chosen = [record for record in chosen if self._chosen(record)]
        if not chosen:
            return Verdicts(0, [], [], [])
        result = process(number, chosen, window=self._window, contracts=self._contracts, chain=self._chain)
        dead = {letter.raw_offset for letter in result.dead_letters}
        new = set(result.new_offsets)
        return Verdicts(
            len(chosen),
            list(zip(result.new_offsets, result.curated, strict=True)),
            result.dead_letters,
            [record for record in chosen if record.offset not in new and record.offset not in dead],
        )

    def _chosen(self, record: RawRecord) -> bool:
        try:
            sent = envelope.decode(record.value or b"")
        except InputError:
            return False  # it is nobody's and no event's
        head, wanted = sent.head, self._selection
        return (
            (not wanted.tenant or head.tenant == wanted.tenant)
            and (not wanted.event or head.event == wanted.event)
            and (wanted.version is None or head.version == wanted.version)
            and (not self._ids or self._has_id(bytes(sent.payload)))
        )

    def _has_id(self, payload: bytes) -> bool:
        # The collector writes payloads, so an id stands in it as our encoder writes it.
        if not any(written in payload for written in self._written):
            return False
        try:
            return _ID.decode(payload).event_id in self._ids
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False


class InForce(NamedTuple):
    """What a stream worker that starts now judges by."""

    registry: Registry
    rules: list[Rule]


def in_force(settings: Settings, registry: Registry) -> InForce:
    """`registry` with what was released since, and the repair rules.

    Raises:
        KafkaException: the client is dead.
    """
    found: dict[str, released.Released] = {}
    rules: dict[str, Rule] = {}

    def take(key: str, value: bytes | None) -> None:
        try:
            if key.startswith(released.KEY_PREFIX) and value:
                release = released.decode(value)
                found[release.key] = release
            elif key.startswith(repairs.KEY_PREFIX):
                rules.pop(key, None)
                if value:
                    rules[key] = repairs.decode(value)
        except SluiceError as error:
            log.warning("replay.control_refused", key=key, error=str(error))

    follower = ControlFollower(settings, take, name="replay")
    try:
        follower.catch_up()
    finally:
        follower.close()
    return InForce(registry.plus(found.values()) if found else registry, list(rules.values()))


def digest(registry: Registry, rules: Iterable[Rule]) -> str:
    """Hash of every contract of events, of the context, and every rule: two plans with the same were judged alike."""
    found = hashlib.sha256()
    for subject in sorted({*registry.subjects("event"), "context"}):
        for version in registry.versions(subject):
            schema = registry.get(subject, version)
            found.update(msgspec.json.encode([schema.label, schema.resolved, schema.source], order="sorted"))
    for rule in sorted(rules, key=lambda each: each.label):
        found.update(msgspec.json.encode(rule, order="sorted"))
    return found.hexdigest()[:16]
