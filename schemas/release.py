"""The life of a version: a draft is released, a released one is deprecated.

What a check says of a draft is `checks`'; telling processes that run is the caller's. A release writes in this order:

1. each file, with `status: stable` and `since`; the lock does not name it yet, so it still is a draft
2. the lock, all versions of the release at once

Killed in between, the release is run again and starts from files that say a little more than before. An id is given
by the lock alone, so none is given twice, and a file that the lock names is complete.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import SluiceError, StateError, UsageError
from schemas import files, lock
from schemas.checks import Problem, Report
from schemas.places import Places
from schemas.registry import Registry, Schema, registry_at
from schemas.released import Released

# Stands in templates where a person has to write something.
PLACEHOLDER = "TODO"

# (folder, subjects) → what is wrong with them: `schemas.checks.report`, bound to a day.
Check = Callable[[Path, frozenset[str]], Report]


class CheckFailedError(SluiceError):
    """The check found errors, so nothing was released."""

    code = "check_failed"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} error{'' if len(problems) == 1 else 's'}: nothing was released")
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a release will do. `warnings` do not keep it from being done."""

    folder: Path
    releases: list[Released]
    warnings: list[Problem]


def plan(folder: Path, subjects: Collection[str] | None, *, today: dt.date, check: Check) -> Plan:
    """The release of the drafts of `subjects`, or of all drafts if None, those first that others refer to.

    Raises:
        UsageError: there is no such subject, it has no draft, or it refers to a draft that is not among them.
        CheckFailedError: a draft breaks a rule.
    """
    registry = registry_at(folder, drafts=True)
    own = [schema for schema in registry.schemas() if schema.path.is_relative_to(registry.folder)]
    drafts = {s.label: s for s in own if s.draft and (subjects is None or s.subject in subjects)}
    for subject in sorted(subjects or ()):
        if not any(schema.subject == subject for schema in drafts.values()):
            raise UsageError(
                f"{subject} has no draft", hint=f"`sluice schemas new {subject}` makes the next version of it."
            )
    ordered = list(_in_order(registry, drafts))
    found = check(folder, frozenset(schema.subject for schema in ordered)).problems if ordered else []
    problems = [*found, *(each for schema in ordered for each in _of_release(registry, schema))]
    if errors := [each for each in problems if each.severity == "error"]:
        raise CheckFailedError(errors)
    first = lock.next_id(lock.read(folder))
    releases = [
        Released(s.subject, s.version, first + number, _stable(s.source, today)) for number, s in enumerate(ordered)
    ]
    drafted = {(each.subject, each.version) for each in releases}
    return Plan(folder, releases, [each for each in problems if (each.subject, each.version) in drafted])


def carry_out(planned: Plan) -> list[Released]:
    """Write files and lock. What it returns is to be told to processes that run.

    Raises:
        StateError: a file or the lock changed since it was planned.
    """
    locked = lock.read(planned.folder)
    for each in planned.releases:
        path = path_of(planned.folder, each.subject, each.version)
        is_same = lock.fingerprint(files.read(path)) == lock.fingerprint(each.source)
        if not is_same or each.version in locked.get(each.subject, {}):
            raise StateError(f"{path} changed while it was being released", hint="Run the release again.")
    if planned.releases and lock.next_id(locked) != planned.releases[0].id:
        raise StateError(
            f"{planned.folder / lock.FILE} changed while the release was planned", hint="Run the release again."
        )
    for each in planned.releases:
        write(path_of(planned.folder, each.subject, each.version), each.source)
    for each in planned.releases:
        locked.setdefault(each.subject, {})[each.version] = lock.entry(each.source, each.id)
    lock.write(planned.folder, locked)
    return planned.releases


@dataclass(frozen=True, slots=True)
class Deprecation:
    """`by` is the subject that takes its place, `sunset` the last day it may be sent, `superseded_by` the version that
    judges the events of a broken one.
    """

    by: str = ""
    sunset: dt.date | None = None
    superseded_by: int | None = None


def deprecate(folder: Path, subject: str, version: int | None, deprecation: Deprecation) -> list[Released]:
    """Deprecate a released version, or all of `subject` if None. Returns them as they now are.

    Raises:
        UsageError: nothing is released under that name, or what is named instead does not fit.
    """
    registry = registry_at(folder)
    versions = [v for v in registry.versions(subject) if version in (None, v)]
    if not versions:
        label = subject if version is None else f"{subject}:{version}"
        raise UsageError(f"{label} is not released", hint="A draft that nobody needs can be deleted.")
    _check_deprecation(registry, subject, version, deprecation)
    changed = [_deprecated(registry.get(subject, each), deprecation) for each in versions]
    for each in changed:
        write(path_of(folder, each.subject, each.version), each.source)
    return changed


def path_of(folder: Path, subject: str, version: int) -> Path:
    return folder / "avro" / subject / f"{version}.avsc"


def write(path: Path, source: dict[str, Any]) -> None:
    """Replace a schema file, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(files.dump(source), encoding="utf-8")
    beside.replace(path)


def with_lifecycle(source: dict[str, Any], lifecycle: dict[str, Any]) -> dict[str, Any]:
    """`source` with these lifecycle attributes, which stand together behind the names; None takes one away."""
    merged = {key: source.get(key) for key in ("status", "since", "deprecatedBy", "sunset", "supersededBy")} | lifecycle
    head = {key: source[key] for key in ("type", "name", "namespace", "kind") if key in source}
    rest = {key: value for key, value in source.items() if key not in head and key not in merged}
    return head | {key: value for key, value in merged.items() if value is not None} | rest


def _stable(source: dict[str, Any], today: dt.date) -> dict[str, Any]:
    return with_lifecycle(source, {"status": "stable", "since": today.isoformat()})


def _in_order(registry: Registry, drafts: dict[str, Schema]) -> Iterator[Schema]:
    """Drafts, each after the drafts it refers to and after the earlier versions of its subject."""
    done: set[str] = set()

    def visit(schema: Schema) -> Iterator[Schema]:
        if schema.label in done:
            return
        done.add(schema.label)
        for needed in _needed(registry, schema):
            if needed.draft and needed.label not in drafts:
                raise UsageError(
                    f"{schema.label} needs {needed.label}, which is a draft itself",
                    hint=f"Release both: `sluice schemas release {needed.subject} {schema.subject}`.",
                )
            if needed.draft:
                yield from visit(needed)
        yield schema

    for label in sorted(drafts):
        yield from visit(drafts[label])


def _needed(registry: Registry, schema: Schema) -> Iterator[Schema]:
    for version in registry.versions(schema.subject):
        if version < schema.version:
            yield registry.get(schema.subject, version)
    for reference in schema.source.get("references", ()):
        yield registry.get(reference["subject"], reference["version"])


def _of_release(registry: Registry, schema: Schema) -> Iterator[Problem]:
    """What matters only now: a text of the template that nobody has written, a version that says nothing new."""
    text = schema.path.read_text(encoding="utf-8")
    places = Places(text)
    for key, value in schema.source.items():
        if key != "fields" and PLACEHOLDER in json.dumps(value):
            yield _unwritten(schema, key, "$", text.count("\n", 0, max(0, text.find(f'"{key}":'))) + 1)
    for field in schema.source["fields"]:
        if PLACEHOLDER in json.dumps(field):
            path = f"$.{field['name']}"
            yield _unwritten(schema, field["name"], path, places.line(path))
    for version in registry.versions(schema.subject):
        if version < schema.version and registry.get(schema.subject, version).guid == schema.guid:
            yield Problem(
                "error",
                "unchanged",
                schema.subject,
                schema.version,
                schema.path,
                1,
                "$",
                f"{schema.label} says the same as version {version}",
                "Two versions of one content are told apart by nobody.",
                "Make the change, or delete the draft.",
            )


def _unwritten(schema: Schema, name: str, path: str, line: int) -> Problem:
    return Problem(
        "error",
        "placeholder",
        schema.subject,
        schema.version,
        schema.path,
        line,
        path,
        f"`{name}` still says {PLACEHOLDER}",
        "The text of the template tells nobody anything.",
        "Write what belongs there, or take it out.",
    )


def _check_deprecation(registry: Registry, subject: str, version: int | None, deprecation: Deprecation) -> None:
    if deprecation == Deprecation():
        raise UsageError("say what comes instead or when it ends", hint="--by SUBJECT, --sunset DATE or both.")
    if deprecation.by and (deprecation.by == subject or not registry.versions(deprecation.by)):
        raise UsageError(f"{subject} cannot be replaced by {deprecation.by}: that is no other released subject")
    if not deprecation.superseded_by:
        return
    if version is None:
        raise UsageError("name the version that is superseded", hint=f"e.g. {subject}:1")
    if version in _judges(registry, subject, deprecation.superseded_by):
        raise UsageError(f"{subject}:{version} cannot be judged by version {deprecation.superseded_by} of it")


def _judges(registry: Registry, subject: str, version: int) -> Iterator[int]:
    """The versions that events of `version` are led to, itself first. One that is not there leads back to all."""
    schema = registry.find(subject, version)
    if schema is None:
        yield from registry.versions(subject)
    else:
        yield version
        if "supersededBy" in schema.source:
            yield from _judges(registry, subject, schema.source["supersededBy"])


def _deprecated(schema: Schema, deprecation: Deprecation) -> Released:
    given = {
        "deprecatedBy": deprecation.by,
        "sunset": deprecation.sunset and deprecation.sunset.isoformat(),
        "supersededBy": deprecation.superseded_by,
    }
    # What was said before and is not said anew stays.
    lifecycle = {"status": "deprecated"} | {key: value for key, value in given.items() if value}
    return Released(schema.subject, schema.version, schema.id, with_lifecycle(schema.source, lifecycle))
