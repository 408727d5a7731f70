"""What Avro lets pass and people who work with the data do not.

`rules` is the table: what each rule is called, why it matters, what to do instead. `changes` compares a version with
the earlier ones, `version` looks at one version alone. Nothing here reads files or decides what a finding leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from schemas.compatibility.types import parse_record
from schemas.lint.changes import changed
from schemas.lint.rules import RULES, Code, Finding, LintRule, Severity
from schemas.lint.version import faults_in

__all__ = ["RULES", "Code", "Finding", "LintRule", "Severity", "changed", "lint"]


def lint(
    subject: str,
    schema: dict[str, Any],
    *,
    earlier: Sequence[tuple[int, dict[str, Any]]] = (),
    today: date,
    faults_of: Callable[[Any], list[str]] | None = None,
) -> list[Finding]:
    """Every finding about `schema`, self-contained JSON as `earlier` is: (version, schema), oldest first.

    `faults_of` says what is wrong with an example; without it examples are not judged.

    Raises:
        SchemaError: one of the schemas is no Avro record.
    """
    records = [(version, parse_record(each)) for version, each in earlier]
    record = parse_record(schema)
    found = faults_in(subject, record, earlier=[each for _, each in records], today=today, faults_of=faults_of)
    return list(dict.fromkeys([*found, *changed(record, records)]))
