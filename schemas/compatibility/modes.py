"""Compatibility modes, as Schema Registries name them: who must be able to read whose data.

| mode | |
|---|---|
| BACKWARD | the new version reads data of the latest one |
| FORWARD | the latest version reads data of the new one |
| FULL | both |
| …_TRANSITIVE | the same with every earlier version |
| NONE | nothing is asked |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from schemas.compatibility.resolution import Incompatibility, can_read

Mode = Literal["BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULT_MODE: Mode = "FULL_TRANSITIVE"


@dataclass(frozen=True, slots=True)
class Violation:
    """`direction` BACKWARD: the candidate cannot read `version`'s data. FORWARD: the other way round."""

    direction: Literal["BACKWARD", "FORWARD"]
    version: int
    incompatibility: Incompatibility

    def __str__(self) -> str:
        reader = "this version cannot read data of" if self.direction == "BACKWARD" else "its data cannot be read by"
        return f"{self.incompatibility.message} ({reader} version {self.version})"


def check(mode: Mode, candidate: Any, earlier: Sequence[tuple[int, Any]]) -> list[Violation]:
    """Every violation of `mode`. `earlier` is (version, schema's JSON), oldest first; versions that were superseded
    because they were broken are for the caller to leave out.

    Raises:
        SchemaError: one of the schemas is no Avro schema.
    """
    compared = earlier if mode.endswith("_TRANSITIVE") else earlier[-1:]
    return [violation for version, schema in compared for violation in _against(mode, candidate, version, schema)]


def _against(mode: Mode, candidate: Any, version: int, schema: Any) -> Iterator[Violation]:
    if mode.startswith(("BACKWARD", "FULL")):
        yield from (Violation("BACKWARD", version, found) for found in can_read(candidate, schema))
    if mode.startswith(("FORWARD", "FULL")):
        yield from (Violation("FORWARD", version, found) for found in can_read(schema, candidate))
