"""Avro record → straight-line encoder functions, generated as readable source (Avro 1.12, "Binary encoding").

What they return equals what fastavro writes, byte for byte; a property test holds them to that. Two forms are
generated. One joins bytes and is always right. The other makes a single piece of text, one character a byte, which is
faster and only right while every string is ASCII; where one is not, or is very long, it hands over to the first.
"""

from __future__ import annotations

import decimal
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas import framing
from schemas.codegen import model, varints
from schemas.codegen.model import Record, Type
from schemas.codegen.parse import parse
from schemas.codegen.structs import days, micros, millis
from schemas.codegen.varints import varint
from schemas.registry import Schema

__all__ = ["Encode", "Encoder", "compile_encoder", "compile_struct_encoder", "varint"]

Encode = Callable[..., bytes]
_STEP = "    "
_ZERO, _ONE = b"\0", b"\x01"


class NotAsciiError(Exception):
    """Raised by nested text code, so that the whole record is encoded as bytes."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """`source` is the generated code of `encode`, to be read."""

    encode: Encode
    source: str


def compile_encoder(schema: Schema) -> Encoder:
    """`encode(field, field, …)` takes the record's fields in order and returns framed Avro bytes.

    Raises:
        ConfigError: a field's type has no JSON form; names the path.
    """
    record = parse(schema.resolved)
    return _compile(record, head=framing.prefix(schema.id), arguments=[_input(each) for each in record.fields])


def compile_struct_encoder(record: Record) -> Encoder:
    """`encode(struct)` takes what `structs.struct_types` decode and returns Avro bytes without a frame."""
    return _compile(record, head=b"", arguments=None)


# -- what generated code calls


# Wide enough never to round.
_EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


def decimal_number(value: decimal.Decimal, scale: int) -> int:
    """The unscaled number."""
    return int(value.scaleb(scale, _EXACT))


def decimal_bytes(value: decimal.Decimal, scale: int) -> bytes:
    number = decimal_number(value, scale)
    return number.to_bytes((number.bit_length() + 8) // 8, "big", signed=True)


def decimal_fixed(value: decimal.Decimal, scale: int, size: int) -> bytes:
    return decimal_number(value, scale).to_bytes(size, "big", signed=True)


_HELPERS: dict[str, Any] = {
    "NotAscii": NotAsciiError,
    "millis": millis,
    "micros": micros,
    "days": days,
    "decimal_bytes": decimal_bytes,
    "decimal_fixed": decimal_fixed,
    "fromhex": bytes.fromhex,
    "pack_float": struct.Struct("<f").pack,
    "pack_double": struct.Struct("<d").pack,
}
_NUMBER_OF = {1_000: "millis", 1_000_000: "micros"}


# -- generating


@dataclass(slots=True)
class _Code:
    """Statements, then the pieces of output in order. `ascii` names the strings that have to be ASCII first."""

    lines: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    ascii: list[str] = field(default_factory=list)


def _compile(record: Record, *, head: bytes, arguments: list[str] | None) -> Encoder:
    forms: list[_Form] = [_BytesForm()]
    if _is_text_worth_it(record):
        forms.append(_TextForm())
    sources: list[str] = []
    encode: Encode | None = None
    for form in forms:
        if encode is not None:
            form.namespace["encode_bytes"] = encode
        functions = form.functions(record, head, arguments)
        source = "\n\n".join(functions)
        exec(compile(source, f"<encoder of {record.name}>", "exec"), form.namespace)  # noqa: S102 (source is ours, from a schema)
        encode = form.namespace["encode"]
        sources.append(f"# {form.title}\n\n{source}")
    assert encode is not None  # noqa: S101 (there is always the first form)
    return Encoder(encode, "\n\n".join(reversed(sources)))


def _is_text_worth_it(record: Record) -> bool:
    """Bytes would be turned into text and back, so only records without them gain by the text form."""
    types = [each.type for each in record.fields]
    inner = [part for type_ in types for part in (type_, *model.parts(type_))]
    return any(isinstance(t, model.Text | model.Json | model.Map) for t in inner) and not any(
        isinstance(t, model.Bytes | model.Fixed) for t in inner
    )


def _input(each: model.Field) -> str:
    # The underscore keeps a field's name from being a keyword or one of the names the code uses.
    return f"{each.attribute}_"


def _number_name(name: str) -> str:
    return f"{name}number" if name.endswith("_") else f"{name}_number"


def _indent(lines: Iterable[str]) -> list[str]:
    return [f"{_STEP}{line}" for line in lines]


class _Form(ABC):
    """Code that is the same in both forms.

    Input of a field `a` is in `a_` and stays, output goes to `a_out`: no name of a schema meets one that loops or the
    helpers use, none of which end like these.
    """

    title: str
    is_text: bool

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self._records: dict[int, str] = {}
        self._functions: list[str] = []
        self._bail = ""
        self._enums: dict[int, str] = {}
        self._level = 0

    # what differs

    @abstractmethod
    def literal(self, data: bytes) -> str: ...

    @abstractmethod
    def from_bytes(self, expression: str) -> str: ...

    @abstractmethod
    def string(self, name: str, out: str) -> _Code: ...

    @abstractmethod
    def length(self, name: str) -> str:
        """An expression."""

    @abstractmethod
    def concatenated(self, parts: list[str]) -> str:
        """An expression."""

    @abstractmethod
    def returned(self, rows: list[list[str]], *, is_nested: bool) -> list[str]:
        """The return statement: a row a field."""

    # what is the same

    def functions(self, record: Record, head: bytes, arguments: list[str] | None) -> list[str]:
        main = self._function(record, "encode", head, arguments, is_main=True)
        return [*self._functions, main]

    def _function(self, record: Record, name: str, head: bytes, arguments: list[str] | None, *, is_main: bool) -> str:
        given = ", ".join(arguments) if arguments is not None else "event" if is_main else "value"
        outer, self._bail = self._bail, f"return encode_bytes({given})" if is_main else "raise NotAscii"
        lines: list[str] = []
        if arguments is None:
            lines += [f"{_input(each)} = {given}.{each.attribute}" for each in record.fields]
        codes = [self._value(each.type, _input(each), f"{each.attribute}_out") for each in record.fields]
        lines += self._ascii_check(name for code in codes for name in code.ascii)
        lines += [line for code in codes for line in code.lines]
        rows = [[self.literal(head)]] if head else []
        lines += self.returned([*rows, *(code.parts for code in codes if code.parts)], is_nested=not is_main)
        if is_main and self.is_text:
            lines = ["try:", *_indent(lines), "except (NotAscii, IndexError):", *_indent([self._bail])]
        self._bail = outer
        return "\n".join([f"def {name}({given}):", *_indent(lines), ""])

    def _ascii_check(self, names: Iterable[str]) -> list[str]:
        checks = [f"{name}.isascii()" for name in names]
        if not checks:
            return []
        every = " and ".join(checks)
        return [f"if not {every if len(checks) == 1 else f'({every})'}:", *_indent([self._bail])]

    def _value(self, type_: Type, name: str, out: str) -> _Code:  # noqa: C901, PLR0911, PLR0912 (one return a type)
        match type_:
            case model.Null():
                return _Code()
            case model.Boolean():
                return _Code([f"{out} = {self.literal(_ONE)} if {name} else {self.literal(_ZERO)}"], [out])
            case model.Integer(high=high) if high < 8192:
                return _Code([], [f"V[{name}]"])
            case model.Integer():
                return self._number(name, out)
            case model.Timestamp(per_second=per_second):
                return self._time(name, out, _NUMBER_OF[per_second])
            case model.Date():
                return self._time(name, out, "days")
            case model.Float(is_double=is_double):
                pack = "pack_double" if is_double else "pack_float"
                return self._bytes(f"{pack}({name})", out)
            case model.Text() | model.Uuid(is_fixed=False):
                return self.string(name, out)
            case model.Json():
                code = self.string(name, out)
                return _Code([*_as_text(name), *self._ascii_check(code.ascii), *code.lines], code.parts)
            case model.Uuid():
                return self._bytes(f"fromhex({name}.replace('-', ''))", out)
            case model.Enum():
                return _Code([], [f"{self._enum(type_)}[{name}]"])
            case model.Fixed():
                return self._bytes(name, out)
            case model.Bytes():
                return self._sized(name, out)
            case model.Decimal(scale=scale, size=None):
                return self._sized(f"decimal_bytes({name}, {scale})", out)
            case model.Decimal(scale=scale, size=size):
                return self._bytes(f"decimal_fixed({name}, {scale}, {size})", out)
            case model.Array(items=items):
                return self._block(name, out, None, items)
            case model.Map(values=values):
                return self._block(name, out, f"{name}.items()", values)
            case Record():
                return _Code([f"{out} = {self._record(type_)}({name})"], [out])
            case model.Union(branches=branches):
                return self._union(branches, name, out)

    def _number(self, name: str, out: str) -> _Code:
        return _Code([f"{out} = LOW[{name} & 8191] + HIGH[{name} >> 13] if {name} > 8191 else V[{name}]"], [out])

    def _time(self, name: str, out: str, unit: str) -> _Code:
        as_number = _number_name(name)
        code = self._number(as_number, out)
        return _Code([f"{as_number} = {name} if {name}.__class__ is int else {unit}({name})", *code.lines], code.parts)

    def _bytes(self, expression: str, out: str) -> _Code:
        return _Code([f"{out} = {self.from_bytes(expression)}"], [out])

    def _sized(self, expression: str, out: str) -> _Code:
        return _Code([f"{out} = {self.from_bytes(expression)}"], [self.length(out), out])

    def _enum(self, enum: model.Enum) -> str:
        name = self._enums.get(id(enum))
        if name is None:
            name = self._enums[id(enum)] = f"{enum.name.rpartition('.')[2].upper()}_{len(self._enums) + 1}"
            numbers = {symbol: varint(index) for index, symbol in enumerate(enum.symbols)}
            self.namespace[name] = {s: n.decode("latin-1") for s, n in numbers.items()} if self.is_text else numbers
        return name

    def _record(self, record: Record) -> str:
        name = self._records.get(id(record))
        if name is None:
            name = self._records[id(record)] = f"encode_{record.short_name}_{len(self._records) + 1}"
            level, self._level = self._level, 0
            self._functions.append(self._function(record, name, b"", None, is_main=False))
            self._level = level
        return name

    def _block(self, name: str, out: str, pairs: str | None, items: Type) -> _Code:
        """An array, or a map where `pairs` is given: count, items, an empty block."""
        self._level += 1
        key, item, pieces = f"key{self._level}", f"item{self._level}", f"pieces{self._level}"
        of_key = self.string(key, f"made_{key}") if pairs else _Code()
        of_item = self._value(items, item, f"made_{item}")
        self._level -= 1
        body = [*self._ascii_check([*of_key.ascii, *of_item.ascii]), *of_key.lines, *of_item.lines]
        made = [*of_key.parts, *of_item.parts]
        loop = f"for {key}, {item} in {pairs}:" if pairs else f"for {item} in {name}:"
        count, zero = self.length(name), self.literal(_ZERO)
        if self.is_text:  # text that only one name refers to grows in place
            start, add, end = (
                f"{out} = {count}",
                f"{out} += {self.concatenated(made)}" if made else "",
                f"{out} += {zero}",
            )
        else:
            start, add = f"{pieces} = [{count}]", f"{pieces} += ({', '.join(made)},)" if made else ""
            end = f"{out} = join(({', '.join([f'*{pieces}', zero])}))"
        inside = [*body, *([add] if add else [])]
        return _Code(
            [
                f"if {name}:",
                *_indent([start, *([loop, *_indent(inside)] if inside else []), end]),
                "else:",
                *_indent([f"{out} = {zero}"]),
            ],
            [out],
        )

    def _union(self, branches: list[Type], name: str, out: str) -> _Code:
        lines: list[str] = []
        # The widest question last: it needs none.
        numbered = sorted(enumerate(branches), key=lambda pair: _question_order(pair[1]))
        for position, (index, branch) in enumerate(numbered):
            is_last = position == len(numbered) - 1
            code = self._value(branch, name, out)
            chosen = self.concatenated([self.literal(varint(index)), *code.parts])
            body = [*self._ascii_check(code.ascii), *code.lines, f"{out} = {chosen}"]
            if is_last and not position:
                lines += body
            else:
                opening = "else:" if is_last else f"{'elif' if position else 'if'} {_question(branch, name)}:"
                lines += [opening, *_indent(body)]
        return _Code(lines, [out])


def _as_text(name: str) -> list[str]:
    # Raw JSON of a struct; callers that have it as text already pass that.
    return [f"if {name}.__class__ is not str:", *_indent([f"{name} = str({name}, 'utf-8')"])]


def _question_order(type_: Type) -> int:
    order: tuple[Any, ...] = (model.Null, model.Boolean, model.Array, model.Map, model.Text)
    return next((i for i, each in enumerate(order) if isinstance(type_, each)), len(order))


def _question(type_: Type, name: str) -> str:  # noqa: PLR0911 (one return a type)
    """Whether a decoded value is of this branch; JSON told the branches apart, so no two of them answer yes."""
    match type_:
        case model.Null():
            return f"{name} is None"
        case model.Boolean():
            return f"{name} is True or {name} is False"
        case model.Array():
            return f"{name}.__class__ is list"
        case model.Map():
            return f"{name}.__class__ is dict"
        case model.Text() | model.Uuid() | model.Enum():
            return f"{name}.__class__ is str"
        case model.Bytes() | model.Fixed():
            return f"{name}.__class__ is bytes"
        case Record():
            return f"hasattr({name}, '__struct_fields__')"
    return f"{name}.__class__ not in (str, bytes, bool) and not hasattr({name}, '__struct_fields__')"


class _BytesForm(_Form):
    title = "Always right."
    is_text = False

    def __init__(self) -> None:
        super().__init__()
        self.namespace |= {**_HELPERS, **varints.for_bytes(), "join": b"".join}

    def literal(self, data: bytes) -> str:
        return repr(data)

    def from_bytes(self, expression: str) -> str:
        return expression

    def string(self, name: str, out: str) -> _Code:
        return _Code([f"{out} = {name}.encode()"], [self.length(out), out])

    def length(self, name: str) -> str:
        return f"V[len({name})]"

    def concatenated(self, parts: list[str]) -> str:
        return " + ".join(parts)

    def returned(self, rows: list[list[str]], *, is_nested: bool) -> list[str]:  # noqa: ARG002 (the other form asks)
        if not rows:
            return ["return b''"]
        return ["return join((", *_indent(", ".join(row) + "," for row in rows), "))"]


class _TextForm(_Form):
    title = "While all strings are ASCII and none is very long: one character a byte."
    is_text = True

    def __init__(self) -> None:
        super().__init__()
        self.namespace |= {**_HELPERS, **varints.for_text()}

    def literal(self, data: bytes) -> str:
        return repr(data.decode("latin-1"))

    def from_bytes(self, expression: str) -> str:
        return f"{expression}.decode('latin-1')"

    def string(self, name: str, out: str) -> _Code:  # noqa: ARG002 (text goes out as it is)
        return _Code([], [self.length(name), name], [name])

    def length(self, name: str) -> str:
        return f"LENGTH[len({name})]"

    def concatenated(self, parts: list[str]) -> str:
        return f'f"{"".join(map(self._in_text, parts))}"' if len(parts) > 1 else parts[0]

    def returned(self, rows: list[list[str]], *, is_nested: bool) -> list[str]:
        if not rows:
            return ["return ''" if is_nested else "return b''"]
        texts = [f'f"{"".join(map(self._in_text, row))}"' for row in rows]
        return ["return (", *_indent(texts), ")" if is_nested else ").encode('latin-1')"]

    @staticmethod
    def _in_text(part: str) -> str:
        """A part inside an f-string's double quotes: the content of a literal, or the expression in braces."""
        if part.startswith(("'", '"')):
            return part[1:-1].replace("{", "{{").replace("}", "}}").replace('"', '\\"')
        return f"{{{part}}}"
