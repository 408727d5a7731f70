"""Everything that is wrong with the schemas of a folder: files, released versions, compatibility, lint.

The newest version and the drafts of a subject are judged whole. Older released versions cannot change any more, so of
them only what still can is judged: that nobody edited them, and their lifecycle. A version that is superseded because
it was broken is held against nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError
from schemas import files
from schemas.codegen.compiled import compile_record
from schemas.compatibility import MODES, Mode, Violation, advice, check
from schemas.compatibility.modes import DEFAULT_MODE
from schemas.compatibility.types import parse_record
from schemas.lint import Finding, Severity, lint
from schemas.lint.version import lifecycle_faults
from schemas.places import Places
from schemas.registry import BUNDLED, Registry, Schema, registry_at

# Lint rules that say what an incompatibility at the same place says already.
_SAID_BY_AVRO = {
    "enum_symbol_removed": "missing_enum_symbols",
    "name_changed": "name_mismatch",
    "field_removed": "reader_field_missing_default_value",
    "default_changed": "type_mismatch",
}
_FILE_RULES = {
    "unreadable": (
        "A file that cannot be read takes the whole folder with it.",
        "Correct the file; the other checks run once all files can be read.",
    ),
    "released_edited": (
        "Topics hold data that was written with the version as it was released; its content must never change.",
        "Restore the file, and add a new version with the change.",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `path` is the field's; `line` is 1 where none fits better."""

    severity: Severity
    rule: str
    subject: str
    version: int
    file: Path
    line: int
    path: str
    message: str
    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class Report:
    """`versions` is how many were looked at, `subjects` of which."""

    problems: list[Problem]
    versions: int
    subjects: frozenset[str] = frozenset()

    def count(self, severity: Severity) -> int:
        return sum(problem.severity == severity for problem in self.problems)


def report(
    folder: Path | None,
    *,
    subjects: frozenset[str] = frozenset(),
    today: date,
) -> Report:
    """Judge the schemas of `folder` (those of this release if None), or of `subjects` alone.

    Raises:
        ConfigError: the lock is damaged, or there is no schema folder.
    """
    root = folder or BUNDLED
    unreadable = list(_unreadable(root))
    if not unreadable:
        try:
            return _of_registry(registry_at(folder, drafts=True), subjects, today)
        except ConfigError as error:
            found = _from_error(error)
            if found is None:
                raise
            unreadable = [found]
    # Told whatever subjects are asked for: none can be judged before these are corrected.
    return Report(unreadable, len(unreadable), subjects | {problem.subject for problem in unreadable})


def _of_registry(registry: Registry, subjects: frozenset[str], today: date) -> Report:
    here = [schema for schema in registry.schemas() if schema.path.is_relative_to(registry.folder)]
    wanted = [schema for schema in here if not subjects or schema.subject in subjects]
    problems = [problem for schema in wanted for problem in _problems(registry, schema, today)]
    return Report(problems, len(wanted), frozenset(schema.subject for schema in wanted))


def _unreadable(folder: Path) -> Iterator[Problem]:
    """Every file that is no JSON object, where a registry would stop at the first."""
    for path in sorted((folder / "avro").glob("*/*.avsc")):
        try:
            files.read(path)
        except ConfigError as error:
            found = _from_error(error)
            if found is not None:
                yield found


def _from_error(error: ConfigError) -> Problem | None:
    """What a registry says of a file (`PATH[:LINE]: MESSAGE`) as a problem; None if it is about something else."""
    place = re.match(r"(?P<path>.+?\.avsc)(?::(?P<line>\d+))?: (?P<message>.+)", error.message, re.DOTALL)
    if place is None:
        return None
    path, line = Path(place["path"]), int(place["line"] or 1)
    version = int(path.stem) if path.stem.isdecimal() else 0
    why, instead = _FILE_RULES["unreadable"]
    return Problem(
        "error", "unreadable", path.parent.name, version, path, line, "$", place["message"], why, error.hint or instead
    )


def _problems(registry: Registry, schema: Schema, today: date) -> Iterator[Problem]:
    places = Places(schema.path.read_text(encoding="utf-8"))
    if schema.edited:
        yield _edited(schema)
    if not schema.draft and schema is not registry.latest(schema.subject):
        record = parse_record(schema.resolved)
        yield from (_of_finding(schema, places, found) for found in lifecycle_faults(record, today))
        return
    earlier = list(_earlier(registry, schema))
    violations = _violations(schema, earlier)
    yield from (_of_violation(schema, places, violation) for violation in violations)
    said = {(violation.incompatibility.path, violation.incompatibility.rule) for violation in violations}
    found = lint(schema.subject, schema.resolved, earlier=earlier, today=today, faults_of=_example_faults(schema))
    for each in found:
        too_late = each.rule.is_advice and not schema.draft
        if not too_late and (each.path, _SAID_BY_AVRO.get(each.rule.code)) not in said:
            yield _of_finding(schema, places, each)


def _example_faults(schema: Schema) -> Callable[[Any], list[str]] | None:
    """What judges the examples: the validator of the events."""
    try:
        compiled = compile_record(schema.resolved)
    except ConfigError:
        return None  # the lint says why

    def faults(example: Any) -> list[str]:
        data = msgspec.json.encode(example)
        found = list(map(str, compiled.explain(data)))
        if not found and compiled.record.unknown != "open":
            _, _, extra = compiled.split(data)
            found = [f"$.{name}: not declared" for name in msgspec.json.decode(extra)]
        return found

    return faults


def _earlier(registry: Registry, schema: Schema) -> Iterator[tuple[int, dict[str, Any]]]:
    for version in registry.versions(schema.subject):
        if version < schema.version and "supersededBy" not in registry.get(schema.subject, version).source:
            yield version, registry.get(schema.subject, version).resolved


def _violations(schema: Schema, earlier: list[tuple[int, dict[str, Any]]]) -> list[Violation]:
    mode: Mode = schema.source.get("compatibility", DEFAULT_MODE)
    # The lint tells a mode that is none; it is not taken for a permission.
    return check(mode if mode in MODES else DEFAULT_MODE, schema.resolved, earlier)


def _of_violation(schema: Schema, places: Places, violation: Violation) -> Problem:
    found = violation.incompatibility
    return Problem(
        "error",
        found.rule,
        schema.subject,
        schema.version,
        schema.path,
        places.line(found.path),
        found.path,
        str(violation),
        advice.why(violation),
        advice.instead(violation),
    )


def _of_finding(schema: Schema, places: Places, found: Finding) -> Problem:
    rule = found.rule
    line = places.line(found.path)
    return Problem(
        rule.severity,
        rule.code,
        schema.subject,
        schema.version,
        schema.path,
        line,
        found.path,
        found.message,
        rule.why,
        rule.instead,
    )


def _edited(schema: Schema) -> Problem:
    why, instead = _FILE_RULES["released_edited"]
    message = f"{schema.label} was edited after its release"
    return Problem(
        "error", "released_edited", schema.subject, schema.version, schema.path, 1, "$", message, why, instead
    )
