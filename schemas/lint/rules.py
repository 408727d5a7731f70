"""The table of lint rules. Messages are made from it: a rule without a row does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
PII_CLASSES = ("none", "pseudonymous", "personal", "sensitive")  # from harmless to grave
Code = Literal[
    # against earlier versions
    "logical_type_changed",
    "timestamp_unit_changed",
    "decimal_changed",
    "namespace_changed",
    "name_changed",
    "unit_changed",
    "meaning_changed",
    "pii_lowered",
    "enum_symbol_removed",
    "field_removed",
    "field_renamed",
    "bounds_narrowed",
    "unknown_tightened",
    "default_changed",
    "became_required",
    "type_promoted",
    "json_form_changed",
    # in one version
    "doc_missing",
    "owner_missing",
    "fires_missing",
    "purpose_missing",
    "examples_missing",
    "pii_missing",
    "attribute_invalid",
    "subject_name",
    "record_name",
    "field_name",
    "column_clash",
    "sunset_passed",
    "deprecated_alone",
    "example_invalid",
    "required_at_first",
    "nullable_form",
    "not_compilable",
]


@dataclass(frozen=True, slots=True)
class LintRule:
    """`why` it matters, and what to do `instead`, in one sentence each.

    `is_advice` marks what can be followed only until the version is released.
    """

    code: Code
    severity: Severity
    why: str
    instead: str
    is_advice: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """`message` names the field. `path` is that of `schemas.compatibility.Incompatibility`."""

    rule: LintRule
    path: str
    message: str


_NEW_FIELD = "Add a field with another name beside it, and let the old one run out."
_TABLE = (
    LintRule(
        "logical_type_changed",
        "error",
        "The stored numbers or letters stay the same and mean something else, which no reader notices.",
        _NEW_FIELD,
    ),
    LintRule(
        "timestamp_unit_changed",
        "error",
        "Times are off by a factor of 1,000 wherever old and new data meet, without an error anywhere.",
        _NEW_FIELD,
    ),
    LintRule(
        "decimal_changed",
        "error",
        "A decimal of another scale or precision is read as other digits, or not as a decimal at all.",
        _NEW_FIELD,
    ),
    LintRule(
        "namespace_changed",
        "error",
        "Generated classes, references and tools of others find the type by its full name.",
        "Keep the namespace.",
    ),
    LintRule(
        "name_changed",
        "error",
        "Generated classes, references and tools of others find the type by its full name.",
        "Keep the name; say what it is in `doc`.",
    ),
    LintRule(
        "unit_changed",
        "error",
        "Sums and averages over old and new events mix two units.",
        "Add a field that has the new unit in its name, and let the old one run out.",
    ),
    LintRule(
        "meaning_changed",
        "warning",
        "If the field now means something else, a query over old and new events counts two things as one.",
        "Reword freely; for another meaning add another field.",
    ),
    LintRule(
        "pii_lowered",
        "error",
        "Personal data that is stored already would appear where only less sensitive data may be seen.",
        "Keep the class; where the new data is harmless, add a field for it.",
    ),
    LintRule(
        "enum_symbol_removed",
        "error",
        "Events that were valid become invalid, and stored ones hold a value that the schema does not know.",
        "Keep the symbol, and say in `doc` that it is no longer sent.",
    ),
    LintRule(
        "field_removed",
        "warning",
        "What clients still send becomes an unplanned property, and queries that use the column go empty.",
        "Deprecate it instead: keep the field, say so in `doc`, and stop sending it.",
    ),
    LintRule(
        "field_renamed",
        "warning",
        "The column gets another name, and every query on it has to follow.",
        "Keep the name; say what it means in `doc`.",
    ),
    LintRule(
        "bounds_narrowed",
        "error",
        "Events that were valid become invalid.",
        "Keep the bound; for a stricter one add a field, or set it in the client first and here once none breaks it.",
    ),
    LintRule(
        "unknown_tightened",
        "error",
        "Events with properties that are not declared were valid and become invalid.",
        "Keep the policy, and declare what is sent; unplanned properties are reported anyway.",
    ),
    LintRule(
        "default_changed",
        "warning",
        "Events that leave the field out get another value than before, with no sign of it in the data.",
        "Keep the default, and send the new value from the client.",
    ),
    LintRule(
        "became_required",
        "error",
        "Events that leave the field out were valid and become invalid.",
        "Keep the default.",
    ),
    LintRule(
        "type_promoted",
        "warning",
        "The column changes its type; readers that were built for the old one may round or cut.",
        "Make sure that queries and exports take the new type, or keep the old one.",
    ),
    LintRule(
        "json_form_changed",
        "error",
        "In JSON, bytes are base64 and text is text: what clients send is taken for something else.",
        _NEW_FIELD,
    ),
    LintRule(
        "doc_missing",
        "error",
        "Nobody can tell later what the data means.",
        "Say in `doc` what it is, in a sentence.",
    ),
    LintRule(
        "owner_missing",
        "error",
        "Nobody answers questions about the data, or agrees to a change.",
        "Name the team in `owner`.",
    ),
    LintRule(
        "fires_missing",
        "error",
        "Without the moment it fires at, clients send it at different ones, and counts cannot be compared.",
        "Say in `fires` when exactly it is sent.",
    ),
    LintRule(
        "purpose_missing",
        "error",
        "Personal data may be collected for a stated purpose only, and data without one is never used.",
        "Say in `purpose` what it is collected for.",
    ),
    LintRule(
        "examples_missing",
        "warning",
        "Examples are what people copy, and what tests of clients use.",
        "Put one complete object into `examples`.",
    ),
    LintRule(
        "pii_missing",
        "error",
        "What is not classified can be neither hidden from analysts nor erased.",
        "Set `pii` to none, pseudonymous, personal or sensitive.",
    ),
    LintRule(
        "attribute_invalid",
        "error",
        "A value that is not known has no effect, and looks as if it had.",
        "Use one of the values named.",
    ),
    LintRule(
        "subject_name",
        "error",
        "The subject is the name of a folder, a view and an event: all use lower case with underscores.",
        "Name the folder in snake_case.",
    ),
    LintRule(
        "record_name",
        "error",
        "The type is looked for by the name that its subject suggests.",
        "Name the record as the subject, in CamelCase.",
    ),
    LintRule(
        "field_name",
        "error",
        "The field is a column, and columns are written in lower case with underscores.",
        "Name the field in snake_case.",
    ),
    LintRule(
        "column_clash",
        "warning",
        "Every event has a column of that name: the field's own is taken for it, or gets another name.",
        "Choose a name that says more, e.g. with the thing in front.",
        is_advice=True,
    ),
    LintRule(
        "sunset_passed",
        "warning",
        "The day it should have been gone by is over.",
        "Stop sending it, or move `sunset`.",
    ),
    LintRule(
        "deprecated_alone",
        "warning",
        "Whoever uses it learns neither what to use instead nor how long it will last.",
        "Name its successor in `deprecatedBy`, or its last day in `sunset`.",
    ),
    LintRule(
        "example_invalid",
        "error",
        "An example that breaks its own contract is copied into clients.",
        "Correct the example, or the contract.",
    ),
    LintRule(
        "required_at_first",
        "warning",
        "A field without a default can never be taken out again, and a client that forgets it loses the event.",
        "Make it optional (null first, default null) unless the event is worthless without it.",
        is_advice=True,
    ),
    LintRule(
        "nullable_form",
        "warning",
        "Avro takes the default from the first branch: other forms of optional fields cannot be left out.",
        'Write `"type": ["null", …], "default": null`.',
        is_advice=True,
    ),
    LintRule(
        "not_compilable",
        "error",
        "No validator can be made of it, so no event can be judged by it.",
        "Use a type that has one JSON form, alone or beside null, and a default and bounds that fit it.",
    ),
)
RULES: dict[Code, LintRule] = {rule.code: rule for rule in _TABLE}


def finding(code: Code, path: str, message: str) -> Finding:
    return Finding(RULES[code], path, message)
