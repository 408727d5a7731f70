"""The rules of Avro 1.12, "Schema Resolution": can a reader with one schema read what a writer wrote with another?

Data is not looked at, so "can" means every value the writer's schema allows. Where the specification fails on the data
only (an enum symbol the reader lacks, a branch of the writer's union), the pair is incompatible.

Logical types take no part: decimals whose precision or scale differ do not match as decimals, and are then read as
their bytes. That this makes other numbers of them is for `schemas.lint` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.compatibility.types import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Named,
    Primitive,
    Record,
    Type,
    Union,
    parse,
)

# The names that Avro's own checker and Schema Registries use; where those throw an error, `ambiguous_alias` is ours.
Rule = Literal[
    "type_mismatch",
    "name_mismatch",
    "fixed_size_mismatch",
    "missing_enum_symbols",
    "reader_field_missing_default_value",
    "missing_union_branch",
    "ambiguous_alias",
]
# What a writer's primitive type may be promoted to.
PROMOTIONS = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """`path` names the reader's field: `$.items[].price`, `[]` an array's items, `{}` a map's values.

    `reader` and `writer` are what stands there in each schema, in short form.
    """

    rule: Rule
    path: str
    reader: str
    writer: str
    detail: str

    @property
    def message(self) -> str:
        return f"{at(self.path)}: {self.detail}"

    def under(self, step: str) -> Incompatibility:
        return replace(self, path=f"{step}{self.path}")


def can_read(reader: Any, writer: Any) -> list[Incompatibility]:
    """Every reason why `reader` cannot read what `writer` wrote; empty if it can. Both are schemas' JSON.

    Raises:
        SchemaError: one of them is no Avro schema.
    """
    return list(dict.fromkeys(_under("$", _Resolution().compare(parse(reader), parse(writer)))))


def at(path: str) -> str:
    """A path as sentences name it: without the root, which is the schema itself."""
    return "the schema itself" if path == "$" else f"`{path.removeprefix('$').removeprefix('.')}`"


def lookup(wanted: Field, reader: Record, writer: Record) -> Field | None:
    """The writer's field that the reader's field `wanted` is read from: by its name, else by one of its aliases."""
    return next(iter(_candidates(wanted, reader, writer)), None)


def _candidates(wanted: Field, reader: Record, writer: Record) -> list[Field]:
    """The writer's fields that the names of `wanted` fit. An alias that names a field of the reader is that field."""
    own = {field.name for field in reader.fields}
    by_name = {field.name: field for field in writer.fields}
    names = [wanted.name, *(alias for alias in wanted.aliases if alias not in own)]
    return [by_name[name] for name in names if name in by_name]


def pick_branch(reader: Union, writer: Type) -> Type | None:
    """The first branch that matches, as the specification says; one of the very same full name goes first.

    Without that preference a union of two records that differ by namespace alone could not read itself.
    """
    matching = [branch for branch in reader.branches if _matches(branch, writer)]
    same = (branch for branch in matching if isinstance(branch, Named) and branch.full_name == full_name(writer))
    return next(same, None) or next(iter(matching), None)


def full_name(type_: Type) -> str:
    """Of a type without a name: empty."""
    return type_.full_name if isinstance(type_, Named) else ""


def _matches(reader: Type, writer: Type) -> bool:
    """Whether the two belong together at all: what they hold is compared when they are resolved."""
    match reader, writer:
        case Primitive(), Primitive():
            return reader.name == writer.name or reader.name in PROMOTIONS.get(writer.name, ())
        case Fixed(), Fixed():
            return same_name(reader, writer) and reader.size == writer.size
        case Named(), Named() if type(reader) is type(writer):
            return same_name(reader, writer)
    return type(reader) is type(writer)


def same_name(reader: Named, writer: Named) -> bool:
    """Unqualified names match, or the reader knows the writer's full name as an alias of its own."""
    return reader.name == writer.name or writer.full_name in reader.aliases


class _Resolution:
    """Compares types. What it finds has paths relative to the types compared."""

    def __init__(self) -> None:
        # What is known of pairs of records. A pair being compared has nothing to add: else a recursive type had no end.
        self._known: dict[tuple[Record, Record], list[Incompatibility]] = {}

    def compare(self, reader: Type, writer: Type) -> list[Incompatibility]:  # noqa: PLR0911 (one return a kind of type)
        match reader, writer:
            case _, Union():
                return [found for branch in writer.branches for found in self._branch(reader, branch)]
            case Union(), _:
                return self._branch(reader, writer)
            case Array(), Array():
                return _under("[]", self.compare(reader.items, writer.items))
            case Map(), Map():
                return _under("{}", self.compare(reader.values, writer.values))
            case Named(), Named() if type(reader) is type(writer):
                return [*_names(reader, writer), *self._named(reader, writer)]
        if _matches(reader, writer):
            return []
        detail = f"the writer writes {writer}, which cannot be read as {reader}"
        return [Incompatibility("type_mismatch", "", str(reader), str(writer), detail)]

    def _branch(self, reader: Type, writer: Type) -> list[Incompatibility]:
        branch = pick_branch(reader, writer) if isinstance(reader, Union) else reader
        if branch is not None:
            return self.compare(branch, writer)
        detail = f"the writer may write {writer}, which no branch of the reader's union takes"
        return [Incompatibility("missing_union_branch", "", str(reader), str(writer), detail)]

    def _named(self, reader: Named, writer: Named) -> list[Incompatibility]:
        match reader, writer:
            case Fixed(), Fixed() if reader.size != writer.size:
                detail = f"the reader expects {reader.size} bytes, the writer writes {writer.size}"
                return [Incompatibility("fixed_size_mismatch", "", str(reader), str(writer), detail)]
            case Enum(), Enum():
                return _symbols(reader, writer)
            case Record(), Record():
                return self._records(reader, writer)
        return []

    def _records(self, reader: Record, writer: Record) -> list[Incompatibility]:
        pair = (reader, writer)
        if pair not in self._known:
            self._known[pair] = []
            self._known[pair] = [found for field in reader.fields for found in self._field(field, reader, writer)]
        return self._known[pair]

    def _field(self, field: Field, reader: Record, writer: Record) -> list[Incompatibility]:
        step = f".{field.name}"
        candidates = _candidates(field, reader, writer)
        if candidates:
            found = self.compare(field.type, candidates[0].type)
            return _under(step, [*_ambiguous(field, candidates, reader), *found])
        if field.has_default:
            return []
        detail = "the reader needs it, the writer does not write it, and it has no default"
        missing = Incompatibility("reader_field_missing_default_value", "", str(field.type), "nothing", detail)
        return [missing.under(step)]


def _ambiguous(field: Field, candidates: list[Field], reader: Record) -> list[Incompatibility]:
    """Avro's own implementation fails on these; others take one or the other."""
    listed = ", ".join(f"`{candidate.name}`" for candidate in candidates)
    shared = [each for each in reader.fields if each is not field and candidates[0].name in each.aliases]
    if len(candidates) > 1:
        detail = f"by its aliases it may be any of the writer's {listed}"
    elif shared and candidates[0].name != field.name:
        detail = f"`{shared[0].name}` has the alias {listed} too, so either may be read from it"
    else:
        return []
    return [Incompatibility("ambiguous_alias", "", field.name, listed.replace("`", ""), detail)]


def _names(reader: Named, writer: Named) -> list[Incompatibility]:
    if same_name(reader, writer):
        return []
    detail = f"the writer's {writer} is {reader} for the reader, which has no alias for that name"
    return [Incompatibility("name_mismatch", "", str(reader), str(writer), detail)]


def _symbols(reader: Enum, writer: Enum) -> list[Incompatibility]:
    unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if not unknown or reader.has_default:
        return []
    listed = ", ".join(f"`{symbol}`" for symbol in unknown)
    detail = f"the writer may write {listed}; the reader's {reader} has neither that nor a default"
    return [Incompatibility("missing_enum_symbols", "", str(reader), str(writer), detail)]


def _under(step: str, found: list[Incompatibility]) -> list[Incompatibility]:
    return [one.under(step) for one in found]
