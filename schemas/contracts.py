"""The contracts events are judged by: the payload's own form, its context, and per event the form of its properties.

Versions of one event live side by side. A curated row has the newest stable version's shape, whichever version its
event was judged by; both versions are on the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from core.errors import ConfigError
from core.log import get_logger
from schemas.codegen.compiled import DECODE_ERRORS, Compiled, compile_record
from schemas.codegen.reshape import compile_reshape
from schemas.faults import Fault, from_decode_error
from schemas.registry import Registry, Schema, bundled
from schemas.repairs import Repairs

log = get_logger(__name__)

# Judges every custom event that has no contract of its own.
OPEN_SUBJECT = "custom_event"
CONTEXT_SUBJECT = "context"
_NOTHING = b"{}"


@dataclass(frozen=True, slots=True)
class Contract:
    """One version of an event's contract. `label` is `subject:version`, as outcomes count it.

    `reshape` brings properties that keep this version into the shape of `stable_version`.
    """

    subject: str
    version: int
    label: str
    stable_version: int
    compiled: Compiled
    reshape: Callable[[bytes], bytes] | None


class ContractError(Exception):
    """An event breaks its contract; `faults` has all of them. Expected on the stream's path, so no `SluiceError`.

    `contract` is None where none could be found to judge by.
    """

    def __init__(self, faults: list[Fault], contract: Contract | None = None) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults
        self.contract = contract


class Judged(NamedTuple):
    """An event that keeps its contract.

    `event` is the TrackedEvent struct. `properties` are those declared, in the stable shape, `extra` those that are
    not (empty text if none), `context` is as sent: all three the text of a JSON object. `repaired` names the rules that
    mended it, if it had to be.
    """

    contract: Contract
    event: Any
    properties: str
    context: str
    extra: str
    repaired: tuple[str, ...] = ()


class Contracts:
    """All released contracts of a registry, compiled. `repairs` mend what they refuse."""

    def __init__(self, registry: Registry, repairs: Repairs | None = None) -> None:
        self._repairs = repairs
        self.tracked = compile_record(registry.get("tracked_event", 2).resolved)
        context = registry.versions(CONTEXT_SUBJECT)
        self.context = compile_record(registry.latest(CONTEXT_SUBJECT).resolved) if context else None
        self._events = {subject: _Versions(registry, subject) for subject in registry.subjects("event")}
        self._open = self._events.get(OPEN_SUBJECT)

    def judge(self, event: str, version: int, payload: bytes) -> Judged:
        """Judge `payload` by the contract of `event` at `version`; 0 infers the newest version that it keeps.

        Raises:
            ContractError: it is not the JSON of a TrackedEvent, there is no such contract, or it breaks the contract.
        """
        try:
            return self._judge(event, version, payload)
        except ContractError:
            mended = self._repairs.mended(event, version, payload) if self._repairs is not None else None
            if mended is None:
                raise
            try:
                judged = self._judge(event, version, mended[0])
            except ContractError:
                pass  # what is wrong with it as it was sent is what its sender can mend
            else:
                return judged._replace(repaired=tuple(mended[1]))
            raise

    def _judge(self, event: str, version: int, payload: bytes) -> Judged:
        versions = self._events.get(event) or self._open
        if versions is None:
            raise ContractError([Fault("unknown_event", "$.event_type", "an event with a contract", "")])
        candidates = versions.candidates(version)
        try:
            tracked = self.tracked.decode(payload)
        except DECODE_ERRORS as error:
            raise ContractError(_explained(self.tracked, payload, "$", error), candidates[0]) from error
        properties, context = bytes(tracked.properties), bytes(tracked.context)
        faults = [] if context == _NOTHING else self._context_faults(context)
        for contract in candidates:
            try:
                _, declared, extra = contract.compiled.split(properties)
            except DECODE_ERRORS:
                continue
            if faults:
                raise ContractError(faults, contract)
            if contract.reshape is not None:
                declared = contract.reshape(declared)
            unplanned = "" if extra == _NOTHING else str(extra, "utf-8")
            return Judged(contract, tracked, str(declared, "utf-8"), str(context, "utf-8"), unplanned)
        # The newest speaks: what an older version would have said of the event is not what its sender should mend.
        newest = candidates[0]
        raise ContractError(_explained(newest.compiled, properties, "$.properties") + faults, newest)

    def usual(self, event: str, version: int) -> Contract | None:
        """The contract that judges nearly all events of a head, if what its `quick` form takes needs no more care than
        that: the first that `judge` would try, without another shape to be brought into.
        """
        versions = self._events.get(event) or self._open
        try:
            contract = versions.candidates(version)[0] if versions is not None else None
        except ContractError:
            return None
        return contract if contract and contract.compiled.quick and not contract.reshape else None

    def _context_faults(self, context: bytes) -> list[Fault]:
        if self.context is None:
            return []
        try:
            self.context.decode(context)
        except DECODE_ERRORS as error:
            return _explained(self.context, context, "$.context", error)
        return []


class _Versions:
    """The contracts of one event."""

    def __init__(self, registry: Registry, subject: str) -> None:
        schemas = [registry.get(subject, version) for version in registry.versions(subject)]
        replaced = {s.version: s.source["supersededBy"] for s in schemas if "supersededBy" in s.source}
        stable = max((s for s in schemas if s.version not in replaced), key=lambda s: s.version, default=schemas[-1])
        contracts = {s.version: _contract(s, stable) for s in schemas}
        self._named = {version: contracts[_redirected(subject, version, replaced)] for version in contracts}
        self._inferred = [contracts[v] for v in sorted(contracts, reverse=True) if v not in replaced]

    def candidates(self, version: int) -> list[Contract]:
        """The contracts to judge by, in order. Raises ContractError where `version` does not exist."""
        if not version:
            return self._inferred
        found = self._named.get(version)
        if found is None:
            known = ", ".join(map(str, sorted(self._named)))
            raise ContractError([Fault("unknown_version", "$.version", f"one of {known}", str(version))])
        return [found]


def _redirected(subject: str, version: int, replaced: dict[int, int]) -> int:
    """Where `supersededBy` leads, over several if need be."""
    seen = {version}
    while version in replaced:
        version = replaced[version]
        if version in seen:
            raise ConfigError(f"{subject}: `supersededBy` of version {version} leads back to itself")
        seen.add(version)
    return version


def _contract(schema: Schema, stable: Schema) -> Contract:
    reshape: Callable[[bytes], bytes] | None = None
    shape = schema.version
    if schema is not stable:
        try:
            reshape, shape = compile_reshape(schema.resolved, stable.resolved), stable.version
        except ConfigError as error:  # released without compatibility: its rows keep the shape they have
            log.warning("contracts.not_reshaped", contract=schema.label, stable=stable.label, reason=error.message)
    return Contract(schema.subject, schema.version, schema.label, shape, compile_record(schema.resolved), reshape)


def _explained(compiled: Compiled, data: bytes, root: str, error: Exception | None = None) -> list[Fault]:
    faults = compiled.explain(data, root)
    if not faults and error is not None:
        return [from_decode_error(error, root=root)]
    return faults


@cache
def bundled_contracts() -> Contracts:
    return Contracts(bundled())
