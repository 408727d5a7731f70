"""Generated schemas, variants of them as a next version could be, and values of them."""

from __future__ import annotations

import copy
from typing import Any

import fastavro
from hypothesis import strategies as st

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
SYMBOLS = ("a", "b", "c", "d")
FIELDS = ("f", "g", "h", "i")
_DEFAULTS: dict[str, Any] = {
    "null": None,
    "boolean": False,
    "int": 1,
    "long": 2,
    "float": 0.5,
    "double": 1.5,
    "bytes": "b",
    "string": "s",
}
_DEPTH = 3


class Schemas:
    """Draws one schema: each named type has a name of its own, and may be named again once it is defined."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._names: list[str] = []

    def record(self, depth: int = _DEPTH) -> dict[str, Any]:
        name = self._name("R")
        self._names.append(name)  # from here on: a record may hold itself
        names = self._draw(st.lists(st.sampled_from(FIELDS), unique=True, max_size=4))
        return {"type": "record", "name": name, "fields": [self.field(each, depth - 1) for each in names]}

    def field(self, name: str, depth: int) -> dict[str, Any]:
        field: dict[str, Any] = {"name": name, "type": self.type(depth)}
        first = field["type"][0] if isinstance(field["type"], list) else field["type"]
        if isinstance(first, str) and first in _DEFAULTS and self._draw(st.booleans()):
            field["default"] = _DEFAULTS[first]
        return field

    def type(self, depth: int) -> Any:  # noqa: PLR0911 (one return a type)
        kinds = ["primitive"] * 4 + ["enum", "fixed", "union"]
        if self._names:
            kinds.append("name")
        if depth > 0:
            kinds += ["array", "map", "record"]
        match self._draw(st.sampled_from(kinds)):
            case "array":
                return {"type": "array", "items": self.type(depth - 1)}
            case "map":
                return {"type": "map", "values": self.type(depth - 1)}
            case "record":
                return self.record(depth - 1)
            case "enum":
                return self._define(self._enum())
            case "fixed":
                return self._define({"type": "fixed", "name": self._name("F"), "size": self._draw(st.integers(1, 2))})
            case "name":
                # Behind a null, so that a record that holds itself ends somewhere.
                return ["null", self._draw(st.sampled_from(self._names))]
            case "union":
                return self.union()
        return self._draw(st.sampled_from(PRIMITIVES))

    def union(self) -> list[Any]:
        branches = self._draw(st.lists(st.sampled_from(PRIMITIVES), unique=True, min_size=1, max_size=4))
        more: list[Any] = [self._define(self._enum())] if self._draw(st.booleans()) else []
        return [*branches, *more]

    def _enum(self) -> dict[str, Any]:
        symbols = self._draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
        enum = {"type": "enum", "name": self._name("E"), "symbols": symbols}
        return enum | ({"default": symbols[0]} if self._draw(st.booleans()) else {})

    def _define(self, named: dict[str, Any]) -> dict[str, Any]:
        self._names.append(named["name"])
        return named

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self._names)}"


class Variants:
    """Draws what a schema could look like a version earlier or later."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def of(self, schema: Any) -> Any:
        if isinstance(schema, list):
            # Null stays beside a name: a record that must hold itself has no value.
            is_named = any(isinstance(branch, str) and branch not in PRIMITIVES for branch in schema)
            return schema if is_named else self._union(schema)
        if isinstance(schema, str):
            return self._primitive(schema)
        schema = dict(schema)
        match schema["type"]:
            case "array":
                schema["items"] = self.of(schema["items"])
            case "map":
                schema["values"] = self.of(schema["values"])
            case "enum" if self._draw(st.booleans()):
                schema["symbols"] = self._draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=1))
                schema.pop("default", None)
                if self._draw(st.booleans()):
                    schema["default"] = schema["symbols"][0]
            case "fixed" if self._rarely():
                schema["size"] = 3 - schema["size"]
            case "record":
                schema["fields"] = self._fields(schema["fields"])
        return self._renamed(schema)

    def _primitive(self, name: str) -> Any:
        if name not in PRIMITIVES or not self._rarely():
            return name
        other = self._draw(st.sampled_from(PRIMITIVES))
        return self._draw(st.sampled_from([other, [name], ["null", name] if name != "null" else other]))

    def _union(self, branches: list[Any]) -> Any:
        variants = [(branch, self.of(branch)) for branch in branches]
        branches = [before if isinstance(after, list) else after for before, after in variants]
        if len(branches) > 1 and self._rarely():
            branches.pop(self._draw(st.integers(0, len(branches) - 1)))
        if self._rarely():
            branches = self._draw(st.permutations(branches))
        return branches[0] if len(branches) == 1 and self._draw(st.booleans()) else branches

    def _fields(self, fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
        fields = [{**field, "type": self.of(field["type"])} for field in fields if not self._rarely()]
        if fields and self._rarely():
            fields[0] |= {"aliases": [fields[0]["name"], "added"], "name": "renamed"}
        if self._rarely():
            fields.append({"name": "added", "type": "int"} | ({"default": 0} if self._draw(st.booleans()) else {}))
        return self._draw(st.permutations(fields)) if self._rarely() else fields

    def _renamed(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "name" in schema and self._rarely():
            aliases = {"aliases": [schema["name"]]} if self._draw(st.booleans()) else {}
            return schema | {"name": f"{schema['name']}x"} | aliases
        return schema

    def _rarely(self) -> bool:
        return self._draw(st.integers(0, 6)) == 6


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """(reader, writer), both valid. The writer is mostly near to the reader, in either direction of time."""
    one = Schemas(draw).record()
    other = Variants(draw).of(copy.deepcopy(one)) if draw(st.integers(0, 9)) else Schemas(draw).record()
    reader, writer = draw(st.permutations([one, other]))
    return reader, writer


def is_valid(schema: Any) -> bool:
    """A variant may lose the definition of a type that it names later, or a union may get two of a kind."""
    try:
        fastavro.parse_schema(copy.deepcopy(schema), named_schemas={})
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType):
        return False
    return True


class Values:
    """Draws a value of a valid schema."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._named: dict[str, Any] = {}

    def of(self, schema: Any, depth: int = 4) -> Any:  # noqa: PLR0911 (one return a type)
        if isinstance(schema, list):
            ends = [branch for branch in schema if branch == "null"] if depth <= 0 else []
            return self.of(self._draw(st.sampled_from(ends or schema)), depth)
        if isinstance(schema, str):
            return self.of(self._named[schema], depth) if schema in self._named else self._draw(_VALUES[schema])
        if "name" in schema:
            self._named[schema["name"]] = schema
        match schema["type"]:
            case "array":
                return [self.of(schema["items"], depth - 1) for _ in range(self._size(depth))]
            case "map":
                return {f"k{n}": self.of(schema["values"], depth - 1) for n in range(self._size(depth))}
            case "enum":
                return self._draw(st.sampled_from(schema["symbols"]))
            case "fixed":
                return self._draw(st.binary(min_size=schema["size"], max_size=schema["size"]))
        self.define(schema)
        return {field["name"]: self.of(field["type"], depth - 1) for field in schema["fields"]}

    def define(self, schema: Any) -> None:
        """Remember the named types of `schema`: a value may skip the place where one is defined."""
        if isinstance(schema, list):
            for branch in schema:
                self.define(branch)
        elif isinstance(schema, dict):
            if "name" in schema:
                self._named[schema["name"]] = schema
            inside = [schema.get("items"), schema.get("values"), *(f["type"] for f in schema.get("fields", ()))]
            for part in inside:
                self.define(part)

    def _size(self, depth: int) -> int:
        return self._draw(st.integers(0, 2)) if depth > 0 else 0


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    # Avro lets bytes be read as text without saying what becomes of bytes that are not UTF-8; fastavro fails on them.
    "bytes": st.text(max_size=5).map(str.encode),
    "string": st.text(max_size=5),
}
