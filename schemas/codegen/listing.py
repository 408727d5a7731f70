"""The types of a schema as they would be written by hand, to be read beside the generated encoder."""

from __future__ import annotations

from schemas.codegen import model
from schemas.codegen.model import Record, Type
from schemas.codegen.words import words

_UNKNOWN = {
    "keep": "fields that are not declared are kept apart",
    "reject": "fields that are not declared are refused",
    "open": "any field is welcome",
}
_NAMES: dict[type, str] = {
    model.Null: "None",
    model.Boolean: "bool",
    model.Integer: "int",
    model.Float: "float",
    model.Text: "str",
    model.Uuid: "str",
    model.Json: "Raw",
    model.Enum: "str",
    model.Bytes: "bytes",
    model.Fixed: "bytes",
    model.Timestamp: "int | datetime",
    model.Date: "int | date",
    model.Decimal: "Decimal",
}


def listing(record: Record) -> str:
    """Inner records first."""
    records = [each for each in model.walk(record) if isinstance(each, Record)]
    return "\n\n".join(_class(each) for each in reversed(records))


def _class(record: Record) -> str:
    lines = [f"class {record.short_name}(Struct):  # {_UNKNOWN[record.unknown]}"]
    for each in record.fields:
        name = each.name if each.attribute == each.name else f"{each.attribute} = field(name={each.name!r})"
        default = f" = {each.default!r}" if each.has_default else ""
        lines.append(f"    {name}: {_name(each.type)}{default}  # {words(each.type)}")
    return "\n".join(lines if record.fields else [*lines, "    pass"]) + "\n"


def _name(type_: Type) -> str:
    match type_:
        case model.Array(items=items):
            return f"list[{_name(items)}]"
        case model.Map(values=values):
            return f"dict[str, {_name(values)}]"
        case Record():
            return type_.short_name
        case model.Union(branches=branches):
            some = [_name(branch) for branch in branches if not isinstance(branch, model.Null)]
            return " | ".join([*some, "None"] if len(some) < len(branches) else some)
    return _NAMES[type(type_)]
