"""What a sink is about to insert, written down before it does: the metadata of the offset commit.

The commit's offset is the plan's first record, so whoever continues reads exactly these records again and knows under
which token they may already have been sent. Kafka keeps at most 4,095 characters of metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.errors import InvariantError

_NUMBER = "(0|[1-9][0-9]{0,18})"
_FORM = re.compile(f"v1;{_NUMBER};{_NUMBER};{_NUMBER};{_NUMBER}")


@dataclass(frozen=True, slots=True)
class Plan:
    """Records `first`..`last` (offsets of the curated partition, `rows` of them) in attempt number `attempt`.

    The attempt counts up only when the rows of an earlier one are proven to be missing: its token may then be dead.
    """

    first: int
    last: int
    rows: int
    attempt: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.last and 1 <= self.rows <= self.last - self.first + 1 and self.attempt >= 1):
            raise InvariantError(f"not a plan: {self}")

    def __str__(self) -> str:
        return f"v1;{self.first};{self.last};{self.rows};{self.attempt}"

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
        first, last, rows, attempt = map(int, found.groups())
        return cls(first, last, rows, attempt)

    def next_attempt(self) -> Plan:
        return Plan(self.first, self.last, self.rows, self.attempt + 1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: part of every token, so that a recreated topic's offsets are not taken for old ones."""

    cluster_id: str
    topic_id: str

    def token(self, partition: int, plan: Plan, table: str) -> str:
        """The insert's deduplication token."""
        return f"{self.cluster_id}:{self.topic_id}:{partition}:{plan.first}:{plan.last}:{table}:{plan.attempt}"
