"""Suggests a repair rule from samples of one cause, by trying: steps that a person would think of are applied to the
samples, and kept if the contract refuses fewer of them.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.contracts import ContractError, Contracts
from schemas.faults import Fault
from schemas.registry import Registry
from schemas.repairs import Coerce, Drop, Map, Rename, Repairs, Rule, Step, Type

_TYPES: tuple[Type, ...] = ("integer", "number", "boolean", "string")
_INDEX = re.compile(r"\[\d+\]|\[\.\.\.\]")
_REPAIRABLE = re.compile(r"(?:properties|context)(?:\.[A-Za-z0-9_$-]{1,100}(?:\[\])?)+")
_ALIKE = 0.6
_MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """A dead letter as it was sent: the version it named (0: none) and the payload's JSON."""

    version: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`mended` of `samples` keep their contract with `rule`."""

    rule: Rule
    mended: int
    samples: int


def suggest(name: str, event: str, samples: Sequence[Sample], registry: Registry) -> Suggestion | None:
    """A rule that mends most of `samples`, or None if nothing that is tried mends any."""
    trial = _Trial(name, event, samples, registry)
    steps: tuple[Step, ...] = ()
    faults = trial.faults(steps)
    while faults and len(steps) < _MOST_STEPS:
        best = min(
            ((trial.faults((*steps, step)), (*steps, step)) for step in trial.candidates(faults, steps)),
            key=lambda each: each[0].total(),
            default=None,
        )
        if best is None or best[0].total() >= faults.total():
            break
        faults, steps = best
    mended = trial.mended(steps)
    return Suggestion(trial.rule(steps), mended, len(samples)) if steps and mended else None


class _Trial:
    def __init__(self, name: str, event: str, samples: Sequence[Sample], registry: Registry) -> None:
        self._name = name
        self._event = event
        self._samples = samples
        self._contracts = Contracts(registry)
        self._source = registry.latest(event).resolved if event in registry.subjects("event") else {"fields": []}

    def rule(self, steps: tuple[Step, ...]) -> Rule:
        return Rule(self._name, 1, self._event, steps)

    def faults(self, steps: tuple[Step, ...]) -> Counter[Fault]:
        """Faults of the samples after `steps`, with the number of samples that have them."""
        found: Counter[Fault] = Counter()
        for version, payload in self._after(steps):
            try:
                self._contracts.judge(self._event, version, payload)
            except ContractError as error:
                found.update(set(error.faults))
        return found

    def mended(self, steps: tuple[Step, ...]) -> int:
        count = 0
        for version, payload in self._after(steps):
            try:
                self._contracts.judge(self._event, version, payload)
            except ContractError:
                continue
            count += 1
        return count

    def candidates(self, faults: Counter[Fault], steps: tuple[Step, ...]) -> list[Step]:
        """What may be done about the commonest fault that has something to try."""
        payloads = [payload for _, payload in self._after(steps)]
        for fault, _ in faults.most_common():
            path = _INDEX.sub("[]", fault.path.removeprefix("$."))
            if _REPAIRABLE.fullmatch(path) and (found := list(self._for(fault.code, path, payloads))):
                return found
        return []

    def _for(self, code: str, path: str, payloads: Sequence[bytes]) -> Iterator[Step]:
        if code == "wrong_type":
            yield from (Coerce(path, to) for to in _TYPES)
        if code == "missing_field":
            yield from (Rename(other, path.rpartition(".")[2]) for other in self._alike(path, payloads))
        if code == "not_allowed" and (values := self._spelt_otherwise(path, payloads)):
            yield Map(path, values)
        # Last: what is dropped is gone. Of several that mend as many the first is taken.
        if code == "unknown_field" or self._is_optional(path):
            yield Drop(path)

    def _alike(self, path: str, payloads: Sequence[bytes]) -> list[str]:
        """Paths beside `path` that its value may have been sent under: keys that no contract declares."""
        parent, _, name = path.rpartition(".")
        if parent != "properties":
            return []
        declared = {field["name"] for field in self._source["fields"]}
        keys = {key for payload in payloads for key in _properties(payload)} - declared
        plain = {key: re.sub(r"[^a-z0-9]", "", key.lower()) for key in keys}
        near = difflib.get_close_matches(re.sub(r"[^a-z0-9]", "", name.lower()), plain.values(), n=3, cutoff=_ALIKE)
        found = [f"{parent}.{key}" for value in near for key, spelt in plain.items() if spelt == value]
        return [each for each in dict.fromkeys(found) if _REPAIRABLE.fullmatch(each)]

    def _spelt_otherwise(self, path: str, payloads: Sequence[bytes]) -> dict[str, Any]:
        """Values that differ from an allowed one by case, blanks or punctuation, or little."""
        name = path.removeprefix("properties.")
        allowed = next((_allowed(field) for field in self._source["fields"] if field["name"] == name), [])
        by_letters = {re.sub(r"[^a-z0-9]", "", each.lower()): each for each in allowed}
        out = {}
        for value in {v for payload in payloads if isinstance(v := _properties(payload).get(name), str)} - set(allowed):
            near = difflib.get_close_matches(re.sub(r"[^a-z0-9]", "", value.lower()), by_letters, n=1, cutoff=_ALIKE)
            if near:
                out[value] = by_letters[near[0]]
        return out

    def _is_optional(self, path: str) -> bool:
        name = path.removeprefix("properties.")
        return any(field["name"] == name and "default" in field for field in self._source["fields"])

    def _after(self, steps: tuple[Step, ...]) -> Iterator[tuple[int, bytes]]:
        repairs = Repairs([self.rule(steps)])
        for sample in self._samples:
            mended = repairs.mended(self._event, sample.version, sample.payload) if steps else None
            yield sample.version, mended[0] if mended else sample.payload


def _properties(payload: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(payload).get("properties")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _allowed(field: dict[str, Any]) -> list[str]:
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    symbols = [symbol for each in types if isinstance(each, dict) for symbol in each.get("symbols", [])]
    return symbols or [each for each in field.get("allowed", []) if isinstance(each, str)]
