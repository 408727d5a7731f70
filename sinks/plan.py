"""What a sink is about to insert, written down before it does: the metadata of the offset commit.

The commit's offset is the plan's first record, so whoever continues reads exactly these records again and knows under
which token they may already have been sent. Kafka keeps at most 4,095 characters of metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from core.errors import InvariantError

_NUMBER = "(0|[1-9][0-9]{0,18})"
_NUMBERS = ";".join([_NUMBER] * 4)
_FORM = re.compile(f"v1;{_NUMBERS}|v2;{_NUMBERS};([1-9][0-9]{{0,9}})")


@dataclass(frozen=True, slots=True)
class Plan:
    """Records `first`..`last` (offsets of the curated partition, `rows` of them) in attempt number `attempt`.

    The attempt counts up only when the rows of an earlier one are proven to be missing: its token may then be dead.
    `generation` is that of the rows. Generation 0 is written in the form that releases without generations wrote.
    """

    first: int
    last: int
    rows: int
    attempt: int = 1
    generation: int = 0

    def __post_init__(self) -> None:
        sensible = 0 <= self.first <= self.last and 1 <= self.rows <= self.last - self.first + 1
        if not (sensible and self.attempt >= 1 and self.generation >= 0):
            raise InvariantError(f"not a plan: {self}")

    def __str__(self) -> str:
        numbers = f"{self.first};{self.last};{self.rows};{self.attempt}"
        return f"v2;{numbers};{self.generation}" if self.generation else f"v1;{numbers}"

    @classmethod
    def parse(cls, metadata: str | None) -> Plan | None:
        """The plan in commit metadata; None where there is none.

        Raises:
            InvariantError: metadata that no sink of ours wrote.
        """
        if not metadata:
            return None
        found = _FORM.fullmatch(metadata)
        if found is None:
            raise InvariantError(
                f"commit metadata {metadata!r} is no plan", hint="Was the group used by another program?"
            )
        return cls(*(int(number) for number in found.groups() if number is not None))

    def next_attempt(self) -> Plan:
        return replace(self, attempt=self.attempt + 1)

    def in_generation(self, generation: int) -> Plan:
        return replace(self, generation=generation)


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: part of every token, so that a recreated topic's offsets are not taken for old ones."""

    cluster_id: str
    topic_id: str

    def token(self, partition: int, plan: Plan, table: str) -> str:
        """The insert's deduplication token."""
        token = f"{self.cluster_id}:{self.topic_id}:{partition}:{plan.first}:{plan.last}:{table}:{plan.attempt}"
        return f"{token}:g{plan.generation}" if plan.generation else token
