"""The contracts events are judged by: the payload's own form and, per event, the form of its properties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from schemas.codegen.structs import struct_type
from schemas.faults import Fault, from_decode_error
from schemas.registry import Registry, bundled

# Subjects that describe records of ours, not events of clients.
SYSTEM_SUBJECTS = frozenset({"raw_envelope", "tracked_event", "event", "dead_letter", "outcome"})
OPEN_SUBJECT = "custom_event"
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ContractError(Exception):
    """An event breaks its contract; `faults` says how. Expected on the stream's path, so no `SluiceError`."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Contract:
    """One version of an event's contract. `label` is `subject:version`, as outcomes count it."""

    subject: str
    version: int
    label: str
    properties: msgspec.json.Decoder[Any]

    def check(self, properties: msgspec.Raw) -> None:
        """Raises ContractError unless `properties` has the contract's form."""
        try:
            self.properties.decode(properties)
        except DECODE_ERRORS as error:
            raise ContractError([from_decode_error(error, root="$.properties")]) from error


class _AnyObject(msgspec.Struct):
    """What contexts are until they have contracts of their own."""


class Contracts:
    """Finds the contract an event names, and decodes its payload."""

    def __init__(self, registry: Registry) -> None:
        self._tracked = msgspec.json.Decoder(struct_type(registry.get("tracked_event", 1).source))
        self._context = msgspec.json.Decoder(_AnyObject)
        self._by_subject: dict[str, dict[int, Contract]] = {}
        for subject in registry.subjects():
            if subject not in SYSTEM_SUBJECTS:
                self._by_subject[subject] = {v: _contract(registry, subject, v) for v in registry.versions(subject)}

    def find(self, event: str, version: int) -> Contract:
        """The contract of `event` at `version`, or the newest where the version is 0.

        A custom event that has no contract of its own is judged by the open one.

        Raises:
            ContractError: the version does not exist.
        """
        versions = self._by_subject.get(event) or self._by_subject[OPEN_SUBJECT]
        found = versions.get(version or max(versions))
        if found is None:
            known = ", ".join(map(str, sorted(versions)))
            raise ContractError([Fault("unknown_version", "$.version", f"one of {known}", str(version))])
        return found

    def decode(self, payload: bytes) -> Any:
        """The payload as a TrackedEvent struct. Its properties are the event's own contract's to judge.

        Raises:
            ContractError: the payload is not the JSON of a TrackedEvent, or its context is no object.
        """
        root = "$"
        try:
            event: Any = self._tracked.decode(payload)
            root = "$.context"
            self._context.decode(event.context)
        except DECODE_ERRORS as error:
            raise ContractError([from_decode_error(error, root=root)]) from error
        return event


def _contract(registry: Registry, subject: str, version: int) -> Contract:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct_type(registry.get(subject, version).source))
    return Contract(subject, version, f"{subject}:{version}", decoder)


@cache
def bundled_contracts() -> Contracts:
    return Contracts(bundled())
