"""The versions of a subject, newest first, each with what it changed and whether that breaks anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from schemas.compatibility import MODES, Mode, check
from schemas.compatibility.modes import DEFAULT_MODE
from schemas.diff import Change, diff
from schemas.registry import Schema

# Told elsewhere on the page, or too long for a sentence.
_NOT_TOLD = ("examples ", "since ", "status ", "deprecatedBy ", "sunset ", "supersededBy ")


@dataclass(frozen=True, slots=True)
class Step:
    """A version and what became of the one before it, `previous` (None for the first).

    A previous version that was broken, so that another one judges its events, is passed over where there is a sound
    one. `violations` are what the version's `mode` forbids against still earlier ones.
    """

    schema: Schema
    previous: int | None
    mode: Mode
    changes: tuple[Change, ...]
    violations: tuple[str, ...]
    judged_by: int | None

    @property
    def is_compatible(self) -> bool:
        return not self.violations and not any(change.is_breaking for change in self.changes)

    @property
    def is_transitive(self) -> bool:
        return self.mode.endswith("_TRANSITIVE")

    @property
    def passed_over(self) -> bool:
        return self.previous is not None and self.previous < self.schema.version - 1


def history(versions: Sequence[Schema]) -> list[Step]:
    """`versions` oldest first."""
    steps = [_step(schema, versions[:place]) for place, schema in enumerate(versions)]
    return steps[::-1]


def mode_of(schema: Schema) -> Mode:
    mode = schema.source.get("compatibility", DEFAULT_MODE)
    return cast("Mode", mode) if mode in MODES else DEFAULT_MODE


def _step(schema: Schema, earlier: Sequence[Schema]) -> Step:
    mode, sound = mode_of(schema), [each for each in earlier if _superseded_by(each) is None]
    before = (sound or earlier)[-1] if earlier else None
    violations = check(mode, schema.resolved, [(each.version, each.resolved) for each in sound])
    changes = diff(before.resolved, schema.resolved) if before else []
    return Step(
        schema=schema,
        previous=before.version if before else None,
        mode=mode,
        changes=tuple(change for change in changes if not _is_told_elsewhere(change)),
        # Those against the previous one are among the changes.
        violations=tuple(dict.fromkeys(str(v) for v in violations if before and v.version != before.version)),
        judged_by=_superseded_by(schema),
    )


def _superseded_by(schema: Schema) -> int | None:
    version = schema.source.get("supersededBy")
    return version if isinstance(version, int) else None


def _is_told_elsewhere(change: Change) -> bool:
    return change.path == "$" and change.sentence.startswith(_NOT_TOLD)
