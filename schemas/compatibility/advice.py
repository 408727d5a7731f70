"""Why an incompatibility matters, and what to do instead: the part of a message that is the same for every schema."""

from __future__ import annotations

from schemas.compatibility.modes import Violation
from schemas.compatibility.resolution import Rule

_BESIDE = "Keep the type, and add a field with another name beside it."
_INSTEAD: dict[Rule, str] = {
    "type_mismatch": _BESIDE,
    "name_mismatch": "Keep the name; if it must change, give the type its old name in `aliases`.",
    "fixed_size_mismatch": _BESIDE,
    "missing_enum_symbols": (
        "An enum that changes needs a `default` symbol from its first version on; "
        "use text with `allowed` where values come and go."
    ),
    "reader_field_missing_default_value": (
        "Give a new field a default (optional: null first, default null), and keep a field that never had one."
    ),
    "missing_union_branch": "Keep the branches, and add a field with another name for the new type.",
    "ambiguous_alias": "Take the alias away; where a field replaces two others, give it a name of its own.",
}


def why(violation: Violation) -> str:
    if violation.direction == "BACKWARD":
        return (
            f"Events of version {violation.version} are stored and still sent; nothing built for this one reads them."
        )
    return f"Whatever still reads by version {violation.version} fails on events of this one."


def instead(violation: Violation) -> str:
    return _INSTEAD[violation.incompatibility.rule]
