"""Pairs of schemas and what stands between them, grouped by the rules of Avro 1.12, "Schema Resolution".

A pair is (name, new, old, backward, forward): why the new schema cannot read what the old one wrote, and why the old
one cannot read what the new one wrote, each as a set of (rule, path). An empty set means it can.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TYPE = "type_mismatch"
NAME = "name_mismatch"
SIZE = "fixed_size_mismatch"
SYMBOLS = "missing_enum_symbols"
DEFAULT = "reader_field_missing_default_value"
BRANCH = "missing_union_branch"
AMBIGUOUS = "ambiguous_alias"

Faults = frozenset[tuple[str, str]]


class Pair(NamedTuple):
    name: str
    new: Any
    old: Any
    backward: Faults
    forward: Faults


def pair(name: str, new: Any, old: Any, backward: str = "", forward: str = "") -> Pair:
    """`backward` and `forward` as `rule path, rule path`."""
    return Pair(name, new, old, _faults(backward), _faults(forward))


def _faults(text: str) -> Faults:
    return frozenset((fault.split()[0], fault.split()[1]) for fault in text.split(",") if fault)


def record(*fields: Any, name: str = "R", **attributes: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **attributes}


def field(name: str, type_: Any, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **attributes}


def of(type_: Any, **attributes: Any) -> dict[str, Any]:
    """A record of one field `a`."""
    return record(field("a", type_, **attributes))


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def map_(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def enum(symbols: str, name: str = "E", **attributes: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": symbols.split(), **attributes}


def fixed(size: int, name: str = "F", **attributes: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **attributes}


def logical(type_: str, logical_type: str, **attributes: Any) -> dict[str, Any]:
    return {"type": type_, "logicalType": logical_type, **attributes}


# Writer down, reader across: "both schemas have the same primitive type" or the writer's may be promoted.
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
READABLE = """
null     x . . . . . . .
boolean  . x . . . . . .
int      . . x x x x . .
long     . . . x x x . .
float    . . . . x x . .
double   . . . . . x . .
bytes    . . . . . . x x
string   . . . . . . x x
"""
GRID = {line.split()[0]: dict(zip(PRIMITIVES, line.split()[1:], strict=True)) for line in READABLE.strip().splitlines()}

SAME_PRIMITIVE = [
    pair(
        f"{new} and {old}",
        new,
        old,
        "" if GRID[old][new] == "x" else f"{TYPE} $",
        "" if GRID[new][old] == "x" else f"{TYPE} $",
    )
    for new in PRIMITIVES
    for old in PRIMITIVES
]

PRIMITIVE_FORMS = [
    pair("an object and a bare name", {"type": "long"}, "long"),
    pair("objects with attributes", {"type": "string", "maxLength": 3}, {"type": "string"}),
    pair("an object that nests an object", {"type": {"type": "int"}}, "int"),
    pair("an object is promoted as a bare name", {"type": "long"}, {"type": "int"}, "", f"{TYPE} $"),
    pair("a primitive and an array", "string", array("string"), f"{TYPE} $", f"{TYPE} $"),
    pair("a primitive and a map", "string", map_("string"), f"{TYPE} $", f"{TYPE} $"),
    pair("a string and an enum", "string", enum("x"), f"{TYPE} $", f"{TYPE} $"),
    pair("bytes and a fixed", "bytes", fixed(4), f"{TYPE} $", f"{TYPE} $"),
    pair("a primitive and a record", "string", record(), f"{TYPE} $", f"{TYPE} $"),
    pair("in a field", of("string"), of("int"), f"{TYPE} $.a", f"{TYPE} $.a"),
    pair("promoted in a field", of("double"), of("float"), "", f"{TYPE} $.a"),
]

ARRAYS = [
    pair("items equal", array("int"), array("int")),
    pair("items promoted", array("long"), array("int"), "", f"{TYPE} $[]"),
    pair("items differ", array("string"), array("int"), f"{TYPE} $[]", f"{TYPE} $[]"),
    pair("arrays of arrays", array(array("long")), array(array("int")), "", f"{TYPE} $[][]"),
    pair("arrays of maps", array(map_("string")), array(map_("int")), f"{TYPE} $[]{{}}", f"{TYPE} $[]{{}}"),
    pair("an array and a map", array("int"), map_("int"), f"{TYPE} $", f"{TYPE} $"),
    pair("an array and its item", array("int"), "int", f"{TYPE} $", f"{TYPE} $"),
    pair("items may become null", of(array(["null", "int"])), of(array("int")), "", f"{TYPE} $.a[]"),
    pair("of records", array(of("long")), array(of("int")), "", f"{TYPE} $[].a"),
    pair(
        "of records with a new field",
        of(array(record(field("x", "int"), field("y", "int"), name="Q"))),
        of(array(record(field("x", "int"), name="Q"))),
        f"{DEFAULT} $.a[].y",
    ),
    pair(
        "a default does not make another type readable",
        of("int", default=0),
        of("string"),
        f"{TYPE} $.a",
        f"{TYPE} $.a",
    ),
]

MAPS = [
    pair("values equal", map_("int"), map_("int")),
    pair("values promoted", map_("double"), map_("float"), "", f"{TYPE} ${{}}"),
    pair("values differ", map_("boolean"), map_("int"), f"{TYPE} ${{}}", f"{TYPE} ${{}}"),
    pair("maps of maps", map_(map_("long")), map_(map_("int")), "", f"{TYPE} ${{}}{{}}"),
    pair("maps of arrays", of(map_(array("string"))), of(map_(array("bytes")))),
    pair("a map and a record", map_("int"), of("int"), f"{TYPE} $", f"{TYPE} $"),
    pair("values may become null", map_(["null", "int"]), map_("int"), "", f"{TYPE} ${{}}"),
    pair("of enums", of(map_(enum("x"))), of(map_(enum("x y"))), f"{SYMBOLS} $.a{{}}"),
]

ENUMS = [
    pair("equal", enum("x y"), enum("x y")),
    pair("in another order", enum("y x"), enum("x y")),
    pair("symbol added", enum("x y z"), enum("x y"), "", f"{SYMBOLS} $"),
    pair("symbol removed", enum("x"), enum("x y"), f"{SYMBOLS} $"),
    pair("symbol replaced", enum("x z"), enum("x y"), f"{SYMBOLS} $", f"{SYMBOLS} $"),
    pair("symbol added to a reader with default", enum("x y z"), enum("x y", default="x")),
    pair("symbol removed, reader with default", enum("x", default="x"), enum("x y")),
    pair("symbol removed, writer with default", enum("x"), enum("x y", default="x"), f"{SYMBOLS} $"),
    pair("symbol replaced, both with default", enum("x z", default="x"), enum("x y", default="x")),
    pair("symbol replaced, new with default", enum("x z", default="x"), enum("x y"), "", f"{SYMBOLS} $"),
    pair("the field's default is not the enum's", of(enum("x"), default="x"), of(enum("x y")), f"{SYMBOLS} $.a"),
    pair("another name", enum("x", "Other"), enum("x"), f"{NAME} $", f"{NAME} $"),
    pair("another name and symbol", enum("z", "Other"), enum("x"), f"{NAME} $,{SYMBOLS} $", f"{NAME} $,{SYMBOLS} $"),
    pair("another namespace", enum("x", namespace="new"), enum("x", namespace="old")),
    pair("namespace in the name", enum("x", "new.E"), enum("x", "old.E")),
    pair("renamed with an alias", enum("x", "Other", aliases=["E"]), enum("x"), "", f"{NAME} $"),
    pair("an alias of the writer does not count", enum("x"), enum("x", "Other", aliases=["E"]), f"{NAME} $"),
    pair(
        "an alias is relative to the namespace",
        enum("x", "Other", namespace="n", aliases=["E"]),
        enum("x", namespace="n"),
        "",
        f"{NAME} $",
    ),
    pair(
        "an alias in another namespace",
        enum("x", "Other", namespace="n", aliases=["E"]),
        enum("x", namespace="m"),
        f"{NAME} $",
        f"{NAME} $",
    ),
    pair(
        "a full alias",
        enum("x", "Other", namespace="n", aliases=["m.E"]),
        enum("x", namespace="m"),
        "",
        f"{NAME} $",
    ),
    pair("an enum and a fixed of one name", enum("x"), fixed(1, "E"), f"{TYPE} $", f"{TYPE} $"),
    pair("an enum and a record of one name", enum("x"), record(name="E"), f"{TYPE} $", f"{TYPE} $"),
    pair("in an array", of(array(enum("x"))), of(array(enum("x y"))), f"{SYMBOLS} $.a[]"),
    pair(
        "used twice",
        record(field("a", enum("x")), field("b", "E")),
        record(field("a", enum("x y")), field("b", "E")),
        f"{SYMBOLS} $.a,{SYMBOLS} $.b",
    ),
]

FIXEDS = [
    pair("equal", fixed(4), fixed(4)),
    pair("another size", fixed(8), fixed(4), f"{SIZE} $", f"{SIZE} $"),
    pair("another name", fixed(4, "Other"), fixed(4), f"{NAME} $", f"{NAME} $"),
    pair("another name and size", fixed(8, "Other"), fixed(4), f"{NAME} $,{SIZE} $", f"{NAME} $,{SIZE} $"),
    pair("another namespace", fixed(4, namespace="new"), fixed(4, namespace="old")),
    pair("renamed with an alias", fixed(4, "Other", aliases=["F"]), fixed(4), "", f"{NAME} $"),
    pair("an alias and another size", fixed(8, "Other", aliases=["F"]), fixed(4), f"{SIZE} $", f"{NAME} $,{SIZE} $"),
    pair("in a map", of(map_(fixed(2))), of(map_(fixed(1))), f"{SIZE} $.a{{}}", f"{SIZE} $.a{{}}"),
    pair("a fixed and a string", fixed(4), "string", f"{TYPE} $", f"{TYPE} $"),
]

RECORDS = [
    pair("no fields", record(), record()),
    pair(
        "fields in another order",
        record(field("a", "int"), field("b", "string")),
        record(field("b", "string"), field("a", "int")),
    ),
    pair("another name", record(name="Other"), record(), f"{NAME} $", f"{NAME} $"),
    pair("another namespace", record(namespace="new"), record(namespace="old")),
    pair("renamed with an alias", record(name="Other", aliases=["R"]), record(), "", f"{NAME} $"),
    pair(
        "renamed, and a field differs",
        record(field("a", "int"), name="Q"),
        of("string"),
        f"{NAME} $,{TYPE} $.a",
        f"{NAME} $,{TYPE} $.a",
    ),
    pair("field added without default", record(field("a", "int"), field("b", "int")), of("int"), f"{DEFAULT} $.b"),
    pair("field added with default", record(field("a", "int"), field("b", "int", default=0)), of("int")),
    pair("field added with default null", record(field("b", ["null", "int"], default=None)), record()),
    pair("nullable field added without default", of(["null", "int"]), record(), f"{DEFAULT} $.a"),
    pair("field removed that had no default", record(), of("int"), "", f"{DEFAULT} $.a"),
    pair("field removed that had a default", record(), of("int", default=0)),
    pair("default added", of("int", default=0), of("int")),
    pair("default changed", of("int", default=0), of("int", default=1)),
    pair("field renamed", record(field("b", "int")), of("int"), f"{DEFAULT} $.b", f"{DEFAULT} $.a"),
    pair("field renamed with defaults", record(field("b", "int", default=0)), of("int", default=0)),
    pair("field renamed with an alias", record(field("b", "int", aliases=["a"])), of("int"), "", f"{DEFAULT} $.a"),
    pair("alias and promotion", record(field("b", "long", aliases=["a"])), of("int"), "", f"{DEFAULT} $.a"),
    pair(
        "alias and another type",
        record(field("b", "int", aliases=["a"])),
        of("string"),
        f"{TYPE} $.b",
        f"{DEFAULT} $.a",
    ),
    pair("second alias", record(field("c", "int", aliases=["b", "a"])), of("int"), "", f"{DEFAULT} $.a"),
    pair("alias on both sides", record(field("b", "int", aliases=["a"])), of("int", aliases=["b"])),
    pair(
        "two fields become one by an alias",
        record(field("b", "int", aliases=["a"])),
        record(field("a", "int", default=0), field("b", "int")),
        f"{AMBIGUOUS} $.b",
    ),
    pair(
        "two aliases, both written",
        record(field("c", "int", aliases=["a", "b"])),
        record(field("a", "int", default=0), field("b", "int", default=0)),
        f"{AMBIGUOUS} $.c",
        "",
    ),
    pair(
        "one field becomes two by an alias",
        record(field("a", "int"), field("b", "int", aliases=["a"])),
        of("int"),
        f"{DEFAULT} $.b",
    ),
    pair(
        "two fields with the same alias",
        record(field("b", "int", aliases=["a"]), field("c", "int", aliases=["a"])),
        of("int", default=0),
        f"{AMBIGUOUS} $.b,{AMBIGUOUS} $.c",
    ),
    pair(
        "an alias that nobody writes",
        record(field("b", "int", aliases=["a"])),
        record(field("b", "int")),
    ),
    pair(
        "all faults are told",
        record(field("a", "int"), field("b", "int"), field("c", "int")),
        record(field("a", "string"), field("d", "int")),
        f"{TYPE} $.a,{DEFAULT} $.b,{DEFAULT} $.c",
        f"{TYPE} $.a,{DEFAULT} $.d",
    ),
    pair("nested", of(of("long") | {"name": "Q"}), of(of("int") | {"name": "Q"}), "", f"{TYPE} $.a.a"),
    pair("nested of another name", of(record(name="P")), of(record(name="Q")), f"{NAME} $.a", f"{NAME} $.a"),
    pair("nested renamed with an alias", of(record(name="P", aliases=["Q"])), of(record(name="Q")), "", f"{NAME} $.a"),
    pair("nested field added", of(record(field("b", "int"), name="Q")), of(record(name="Q")), f"{DEFAULT} $.a.b"),
    pair(
        "nested record with a default",
        of(record(field("b", "int"), name="Q"), default={"b": 1}),
        record(),
    ),
    pair(
        "inherits the namespace",
        record(field("a", enum("x", "E")), field("b", "n.E"), namespace="n"),
        record(field("a", enum("x", "n.E")), field("b", "n.E"), namespace="n"),
    ),
    pair(
        "used twice, both told",
        record(field("a", record(field("x", "int"), name="Q")), field("b", "Q")),
        record(field("a", record(field("x", "string"), name="Q")), field("b", "Q")),
        f"{TYPE} $.a.x,{TYPE} $.b.x",
        f"{TYPE} $.a.x,{TYPE} $.b.x",
    ),
    pair("doc and order are ignored", of("int", doc="new", order="ignore"), of("int", doc="old")),
    pair("a record and a string", of(of("int") | {"name": "Q"}), of("string"), f"{TYPE} $.a", f"{TYPE} $.a"),
]

WRITER_UNIONS = [
    pair("null given up", of("int"), of(["null", "int"]), f"{TYPE} $.a"),
    pair("null given up in spite of a default", of("int", default=0), of(["null", "int"]), f"{TYPE} $.a"),
    pair("one branch, the same type", "int", ["int"]),
    pair("one branch, promoted", "long", ["int"], "", f"{BRANCH} $"),
    pair("every branch promoted", "double", ["int", "long", "float"], "", f"{BRANCH} $"),
    pair("one branch of many is not readable", "long", ["int", "string"], f"{TYPE} $", "" + f"{BRANCH} $"),
    pair("no branch is readable", of("boolean"), of(["int", "string"]), f"{TYPE} $.a", f"{BRANCH} $.a"),
    pair("an empty union has nothing to read", "int", [], "", f"{BRANCH} $"),
    pair("of enums", enum("x"), ["null", enum("x y")], f"{TYPE} $,{SYMBOLS} $"),
    pair("of text and bytes", "string", ["bytes", "string"]),
]

READER_UNIONS = [
    pair("null taken up", of(["null", "int"]), of("int"), "", f"{TYPE} $.a"),
    pair("null taken up with a default", of(["null", "int"], default=None), of("int"), "", f"{TYPE} $.a"),
    pair("the second branch", ["string", "int"], "int", "", f"{TYPE} $"),
    pair("a branch that it is promoted to", ["null", "long"], "int", "", f"{TYPE} $"),
    pair("no branch", ["null", "string"], "int", f"{BRANCH} $", f"{TYPE} $"),
    pair("narrower than written", ["null", "int"], "long", f"{BRANCH} $", f"{TYPE} $"),
    pair("an enum in a branch", ["null", enum("x y")], enum("x y"), "", f"{TYPE} $"),
    pair("an enum whose symbols lack", ["null", enum("x")], enum("x y"), f"{SYMBOLS} $", f"{TYPE} $"),
    pair("an enum of another name", ["null", enum("x", "Other")], enum("x"), f"{BRANCH} $", f"{TYPE} $,{NAME} $"),
    pair("an enum by its alias", ["null", enum("x", "Other", aliases=["E"])], enum("x"), "", f"{TYPE} $,{NAME} $"),
    pair("a fixed of another size", ["null", fixed(8)], fixed(4), f"{BRANCH} $", f"{TYPE} $,{SIZE} $"),
    pair("a record in a branch", ["null", of("long")], of("int"), "", f"{TYPE} $,{TYPE} $.a"),
    pair("a record whose field lacks", ["null", of("int")], record(), f"{DEFAULT} $.a", f"{TYPE} $"),
    pair("an array in a branch", ["null", array("long")], array("int"), "", f"{TYPE} $,{TYPE} $[]"),
    pair("an array of other items", ["null", array("int")], array("string"), f"{TYPE} $[]", f"{TYPE} $,{TYPE} $[]"),
    pair("a map in a branch", ["null", map_("long")], map_("int"), "", f"{TYPE} $,{TYPE} ${{}}"),
    pair("an empty union reads nothing", [], "int", f"{BRANCH} $"),
]

BOTH_UNIONS = [
    pair("equal", ["null", "int"], ["null", "int"]),
    pair("in another order", ["int", "null"], ["null", "int"]),
    pair("branch added", ["null", "int", "string"], ["null", "int"], "", f"{BRANCH} $"),
    pair("branch removed", ["null", "int"], ["null", "int", "string"], f"{BRANCH} $"),
    pair("branch promoted", of(["null", "long"]), of(["null", "int"]), "", f"{BRANCH} $.a"),
    pair("branch replaced", ["null", "string"], ["null", "int"], f"{BRANCH} $", f"{BRANCH} $"),
    pair("text and bytes", ["null", "string"], ["null", "bytes"]),
    pair("two branches removed", ["null"], ["null", "int", "string"], f"{BRANCH} $"),
    pair("null given up", ["int", "string"], ["null", "int", "string"], f"{BRANCH} $"),
    pair("symbol added", ["null", enum("x y")], ["null", enum("x")], "", f"{SYMBOLS} $"),
    pair("field added", ["null", of("int")], ["null", record()], f"{DEFAULT} $.a"),
    pair("field added with default", ["null", of("int", default=0)], ["null", record()]),
    pair(
        "record of another name", ["null", record(name="P")], ["null", record(name="Q")], f"{BRANCH} $", f"{BRANCH} $"
    ),
    pair(
        "record renamed with an alias",
        ["null", record(name="P", aliases=["Q"])],
        ["null", record(name="Q")],
        "",
        f"{BRANCH} $",
    ),
    pair("another namespace", [record(namespace="new")], [record(namespace="old")]),
    pair(
        "of two records of one name, the one of the same namespace",
        [record(field("a", "int"), name="x.R"), record(name="y.R")],
        [record(field("a", "int"), name="x.R"), record(name="y.R")],
    ),
    pair("items in a union", ["null", array("long")], ["null", array("int")], "", f"{TYPE} $[]"),
    pair(
        "unions in items of a union",
        of(["null", array(["null", "int", "string"])]),
        of(["null", array(["null", "int"])]),
        "",
        f"{BRANCH} $.a[]",
    ),
]

LOGICAL_TYPES = [
    pair("added", logical("long", "timestamp-millis"), "long"),
    pair("another unit", logical("long", "timestamp-micros"), logical("long", "timestamp-millis")),
    pair("another logical type", logical("int", "date"), logical("int", "time-millis")),
    pair("unknown", logical("string", "colour"), "string"),
    pair(
        "the underlying type is promoted", logical("long", "timestamp-millis"), logical("int", "date"), "", f"{TYPE} $"
    ),
    pair("of other underlying types", logical("string", "uuid"), logical("int", "date"), f"{TYPE} $", f"{TYPE} $"),
    pair(
        "decimals equal",
        logical("bytes", "decimal", precision=9, scale=2),
        logical("bytes", "decimal", precision=9, scale=2),
    ),
    pair(
        "decimal of another scale is read as bytes",
        logical("bytes", "decimal", precision=9, scale=3),
        logical("bytes", "decimal", precision=9, scale=2),
    ),
    pair(
        "decimal of another precision is read as bytes",
        logical("bytes", "decimal", precision=12),
        logical("bytes", "decimal", precision=9),
    ),
    pair(
        "fixed decimals of another scale",
        fixed(8, logicalType="decimal", precision=9, scale=2),
        fixed(8, logicalType="decimal", precision=9),
    ),
    pair(
        "fixed decimals of another size",
        fixed(8, logicalType="decimal", precision=9),
        fixed(4, logicalType="decimal", precision=9),
        f"{SIZE} $",
        f"{SIZE} $",
    ),
    pair(
        "decimal in bytes and in a fixed",
        logical("bytes", "decimal", precision=9),
        fixed(8, logicalType="decimal", precision=9),
        f"{TYPE} $",
        f"{TYPE} $",
    ),
    pair(
        "uuid as text and as a fixed",
        logical("string", "uuid"),
        fixed(16, logicalType="uuid"),
        f"{TYPE} $",
        f"{TYPE} $",
    ),
    pair("in a union", ["null", logical("long", "timestamp-micros")], ["null", "long"]),
]


def _tree(value: Any, *more: Any) -> dict[str, Any]:
    return record(field("value", value), field("left", ["null", "Tree"]), *more, name="Tree")


RECURSIVE_TYPES = [
    pair("equal", _tree("int"), _tree("int")),
    pair("promoted", _tree("long"), _tree("int"), "", f"{TYPE} $.value"),
    pair("differ", _tree("string"), _tree("int"), f"{TYPE} $.value", f"{TYPE} $.value"),
    pair("one more loop", _tree("int", field("right", ["null", "Tree"], default=None)), _tree("int")),
    pair(
        "one more loop without default",
        _tree("int", field("right", ["null", "Tree"])),
        _tree("int"),
        f"{DEFAULT} $.right",
    ),
    pair(
        "through an array",
        record(field("children", array("R")), field("a", "int")),
        record(field("children", array("R")), field("a", "string")),
        f"{TYPE} $.a",
        f"{TYPE} $.a",
    ),
    pair(
        "a loop against a type that ends",
        record(field("next", ["null", "R"])),
        record(field("next", ["null", record(name="Other")])),
        f"{BRANCH} $.next",
        f"{BRANCH} $.next",
    ),
    pair(
        "two records in a loop",
        record(field("q", ["null", record(field("r", "R"), field("x", "long"), name="Q")])),
        record(field("q", ["null", record(field("r", "R"), field("x", "int"), name="Q")])),
        "",
        f"{TYPE} $.q.x",
    ),
]

BY_RULE: dict[str, list[Pair]] = {
    "same primitive type, or promotable": SAME_PRIMITIVE,
    "forms of primitive types": PRIMITIVE_FORMS,
    "arrays whose items match": ARRAYS,
    "maps whose values match": MAPS,
    "enums whose names match": ENUMS,
    "fixed whose sizes and names match": FIXEDS,
    "records of the same name": RECORDS,
    "the writer's is a union, the reader's is not": WRITER_UNIONS,
    "the reader's is a union, the writer's is not": READER_UNIONS,
    "both are unions": BOTH_UNIONS,
    "logical types": LOGICAL_TYPES,
    "recursive types": RECURSIVE_TYPES,
}
PAIRS = {f"{rule}: {one.name}": one for rule, pairs in BY_RULE.items() for one in pairs}
