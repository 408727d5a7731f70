"""What a sink is about to insert, written down before it does: the metadata of the offset commit.

The commit's offset is the plan's first record, so whoever continues reads exactly these records again and knows under
which token they may already have been sent. Kafka keeps at most 4,095 characters of metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from core.errors import InvariantError, StateError

_NUMBER = "(0|[1-9][0-9]{0,18})"
_FORM = re.compile(";".join(["v3", *[_NUMBER] * 5]))


@dataclass(frozen=True, slots=True)
class Plan:
    """Records `first`..`last` (offsets of the topic's partition, `rows` of them) in attempt number `attempt`.

    The attempt counts up only when the rows of an earlier one are proven to be missing: its token may then be dead.
    `generation` is that of the rows.
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
        return f"v3;{self.first};{self.last};{self.rows};{self.attempt};{self.generation}"

    @classmethod
    def parse(cls, metadata: str | None) -> Plan | None:
        """The plan in commit metadata; None where there is none.

        Raises:
            InvariantError: metadata that no sink of ours wrote.
            StateError: it is of an earlier release, whose rows do not say where their records stood.
        """
        if not metadata:
            return None
        if metadata.startswith(("v1;", "v2;")):
            raise StateError(
                f"a sink of an earlier release was stopped with the plan {metadata} in doubt",
                hint="Run that release once more until its sink is idle, then this one.",
            )
        found = _FORM.fullmatch(metadata)
        if found is None:
            raise InvariantError(
                f"commit metadata {metadata!r} is no plan", hint="Was the group used by another program?"
            )
        return cls(*map(int, found.groups()))

    def next_attempt(self) -> Plan:
        return replace(self, attempt=self.attempt + 1)

    def first_attempt(self) -> Plan:
        return replace(self, attempt=1)

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
