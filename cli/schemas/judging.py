"""What a line of a file is worth: the contract it names, and everything that breaks it.

Says what the pipeline says of an event's form, properties and context, by the same code. Keys, consent and repetition
are not looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from collector.contract import EMPTY_OBJECT, Event
from collector.faults import JSON_ERRORS
from collector.faults import explain as explain_form
from collector.keys import Grant
from collector.normal import Arrival, normalise
from core.ids import RandomIds
from schemas import envelope
from schemas.codegen.compiled import DECODE_ERRORS, compile_record
from schemas.contracts import ContractError, Contracts
from schemas.faults import Fault
from schemas.registry import Registry, Schema

_EVENT = msgspec.json.Decoder(Event)
_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GRANT = Grant(tenant="validate", key_id="validate")
_ARRIVAL = Arrival(received_at_ms=0)


class Complaint(NamedTuple):
    """One thing that is wrong; `path` is a JSON path in the line."""

    code: str
    path: str
    message: str


class Verdict(NamedTuple):
    """`contract` is `subject:version`, empty where none could be found. `unplanned` are properties it does not have."""

    contract: str
    complaints: list[Complaint]
    unplanned: list[str]


class PropertiesJudge:
    """Judges bare properties by one contract."""

    def __init__(self, schema: Schema) -> None:
        self._label = schema.label
        self._compiled = compile_record(schema.resolved)

    def judge(self, line: bytes) -> Verdict:
        try:
            _, _, extra = self._compiled.split(line)
        except DECODE_ERRORS:
            return Verdict(self._label, _complaints(self._compiled.explain(line)), [])
        return Verdict(self._label, [], list(_NAMES.decode(extra)))


class EventJudge:
    """Judges whole events, as they are sent to the collector, by the contracts they name."""

    def __init__(self, registry: Registry) -> None:
        self._contracts = Contracts(registry)
        self._ids = RandomIds()

    def judge(self, line: bytes) -> Verdict:
        try:
            event = _EVENT.decode(line)
        except JSON_ERRORS as error:
            fault = explain_form(error)
            return Verdict("", [Complaint(fault.code, fault.field or "$", fault.message)], [])
        if event.event_type == "custom_event" and not event.name:
            return Verdict("", [Complaint("missing_field", "$.name", "a custom event needs a name")], [])
        # As the collector reads them: null counts as absent.
        event.properties, event.context = _object(event.properties), _object(event.context)
        record, *_ = normalise(event, grant=_GRANT, arrival=_ARRIVAL, random_ids=self._ids)
        raw = envelope.decode(record.value)
        try:
            judged = self._contracts.judge(raw.head.event, raw.head.version, raw.payload)
        except ContractError as error:
            return Verdict(error.contract.label if error.contract else "", _complaints(error.faults), [])
        return Verdict(judged.contract.label, [], list(_NAMES.decode(judged.extra)) if judged.extra else [])


def _object(raw: msgspec.Raw) -> msgspec.Raw:
    return EMPTY_OBJECT if bytes(raw) == b"null" else raw


def _complaints(faults: list[Fault]) -> list[Complaint]:
    return [Complaint(fault.code, fault.path, str(fault).removeprefix(f"{fault.path}: ")) for fault in faults]
