"""One record schema, compiled: decode and validate JSON, encode to Avro, explain what is wrong, print the code.

Decoding takes the strict form of the Struct types first, which refuses any field that is not declared. What it takes
was read to the last byte, nests as the schema does, and has nothing to split off: that is nearly every event, and it
costs one pass. Only for the others does the lenient form follow, and then a check of what that one skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import ConfigError
from schemas.codegen import model
from schemas.codegen.encoder import compile_struct_encoder
from schemas.codegen.explain import compile_explain
from schemas.codegen.listing import listing
from schemas.codegen.model import Record
from schemas.codegen.parse import parse
from schemas.codegen.structs import decoder_of, quick_type, struct_types
from schemas.faults import Fault, FaultError, from_decode_error

# What a text that breaks its contract makes a decoder raise.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Split = tuple[msgspec.Struct, bytes, bytes]

DEFAULT_MAX_DEPTH = 16
DEFAULT_MAX_BYTES = 16_384
QUICK_BYTES = 8_191
_DEEPEST = 200  # that Python's stack surely holds, however deep the caller is in it
_NO_LIMIT = 2**63
_NOTHING = b"{}"
_ANY = msgspec.json.Decoder()
_PROPERTIES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_BRACES = bytes.maketrans(b"[]", b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a record schema became.

    `decode(data)` gives the Struct of a JSON text, of `type` or a subclass. It raises one of DECODE_ERRORS.

    `split(data)` gives the same, and the text in two: properties that the schema declares, and those it does not
    (`b"{}"` if there are none, and always for an `open` record). Raises as `decode` does. Of a name that occurs twice
    the last value counts; text without undeclared properties is passed on as it came, and still holds both.

    `encode(struct)` gives Avro bytes without a frame.

    `strict(data)` decodes text that is known to be UTF-8 and of at most QUICK_BYTES. `quick(data)` only says whether
    such text fits, by not raising one of DECODE_ERRORS. Both take less than `split` does, never more, and only what
    `split` leaves whole. There is no `quick` where that cannot be told in one pass. `is_wide` says that `quick` may
    also be asked about text of which each byte was made a character, as if it were Latin-1.

    `explain(data, root="$")` gives all faults (at most explain.MOST_FAULTS) with their paths under `root`, none for
    what `decode` takes. It never raises.
    """

    record: Record
    type: type[msgspec.Struct]
    decode: Callable[[bytes], Any]
    split: Callable[[bytes], Split]
    strict: Callable[[bytes | msgspec.Raw], Any]
    quick: Callable[[bytes | msgspec.Raw], object] | None
    is_wide: bool
    encode: Callable[[Any], bytes]
    explain: Callable[..., list[Fault]]
    encoder_source: str

    @property
    def source(self) -> str:
        """The generated code, to be read: the types first."""
        return f"{listing(self.record)}\n\n{self.encoder_source}"


def compile_record(schema: dict[str, Any]) -> Compiled:
    """Compile a self-contained record schema.

    Raises:
        ConfigError: a type that has no JSON form, or a limit that is none; names the path.
    """
    record = parse(schema)
    limits = _limits(schema)
    types = struct_types(record)
    encoder = compile_struct_encoder(record)
    decoding = _Decoding(record, limits, decoder_of(types.strict).decode, decoder_of(types.lenient).decode)
    decode = decoding.decode()
    return Compiled(
        record=record,
        type=types.lenient,
        decode=decode,
        split=decoding.split(),
        strict=decoding.strict,
        quick=decoding.quick(),
        is_wide=not any(map(_has_least_length, model.walk(record))),
        encode=encoder.encode,
        explain=_explaining(record, limits, decode),
        encoder_source=encoder.source,
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    max_bytes: int | None
    max_depth: int | None

    def check_bytes(self, data: bytes) -> None:
        if self.max_bytes is not None and len(data) > self.max_bytes:
            raise FaultError(Fault("too_large", "$", f"at most {self.max_bytes} bytes", f"{len(data)} bytes"))

    def check_depth(self, data: bytes) -> None:
        if self.max_depth is not None and is_deeper(data, self.max_depth):
            raise FaultError(Fault("too_deep", "$", f"at most {self.max_depth} levels of nesting", "more"))


def _limits(schema: dict[str, Any]) -> _Limits:
    # Records of ours are as large as they are, unless they say otherwise.
    ours = schema.get("kind") == "record"
    limits = _Limits(
        schema.get("maxBytes", None if ours else DEFAULT_MAX_BYTES),
        schema.get("maxDepth", None if ours else DEFAULT_MAX_DEPTH),
    )
    for name, limit, most in (("maxBytes", limits.max_bytes, None), ("maxDepth", limits.max_depth, _DEEPEST)):
        if limit is not None and (type(limit) is not int or limit < 1 or (most is not None and limit > most)):
            raise ConfigError(f"$: {name} is a whole number from 1{f' to {most}' if most else ''}, not {limit!r}")
    return limits


def is_deeper(data: bytes, max_depth: int) -> bool:
    """Whether arrays and objects nest deeper than `max_depth`, in text that may not even be JSON."""
    brackets = data.translate(_AS_BRACES, _NOT_BRACKETS)
    if len(brackets) <= max_depth:  # the common proof; brackets in strings only make it fail
        return False
    brackets = _STRING.sub(b"", data).translate(_AS_BRACES, _NOT_BRACKETS)
    for _ in range(max_depth):
        inner = brackets.replace(b"{}", b"")  # takes off the innermost level, everywhere
        if len(inner) == len(brackets):
            return brackets.count(b"{") > max_depth
        brackets = inner
    return b"{" in brackets


@dataclass(frozen=True, slots=True)
class _Decoding:
    record: Record
    limits: _Limits
    strict: Callable[[bytes], Any]
    lenient: Callable[[bytes], Any]

    def decode(self) -> Callable[[bytes], Any]:
        """One of three functions: what a schema does not need, its events do not pay for."""
        strict, thorough, verify = self.strict, self.thorough(), self.verifier()
        max_bytes = self.limits.max_bytes or _NO_LIMIT

        def decode(data: bytes) -> Any:
            if len(data) <= max_bytes:
                try:
                    return strict(data)
                except msgspec.DecodeError:
                    pass
            return thorough(data)

        if self.record.unknown == "open":
            return thorough
        if verify is None:
            return decode

        def decode_and_verify(data: bytes) -> Any:
            value = decode(data)
            verify(data)
            return value

        return decode_and_verify

    def verifier(self) -> Callable[[bytes], None] | None:
        """Checks what the strict form does not prove, where there is such a thing."""
        checks: list[Callable[[bytes], None]] = []
        if self.may_be_too_deep():
            checks.append(self.limits.check_depth)
        if _has_json(self.record):
            checks.append(_check_utf8)
        if not checks:
            return None

        def verify(data: bytes) -> None:
            for check in checks:
                check(data)

        return verify

    def thorough(self) -> Callable[[bytes], Any]:
        """Decodes leniently and reads what that skipped: it may be no JSON, or nest too deep."""
        lenient, limits = self.lenient, self.limits
        # What a JSON field holds is for its own contract to judge.
        read_all = _check_utf8 if _has_json(self.record) else _ANY.decode

        def thorough(data: bytes) -> Any:
            limits.check_bytes(data)
            limits.check_depth(data)
            value = lenient(data)
            read_all(data)
            return value

        return thorough

    def split(self) -> Callable[[bytes], Split]:
        strict, decode, divided = self.strict, self.decode(), self.divided()
        max_bytes = self.limits.max_bytes or _NO_LIMIT
        verify = self.verifier()

        def split(data: bytes) -> Split:
            if len(data) <= max_bytes:
                try:
                    value = strict(data)
                except msgspec.DecodeError:
                    pass
                else:
                    if verify is not None:
                        verify(data)
                    return value, data, _NOTHING
            return divided(data)

        def split_nothing(data: bytes) -> Split:
            return decode(data), data, _NOTHING

        return split_nothing if self.record.unknown in ("open", "reject") else split

    def quick(self) -> Callable[[bytes | msgspec.Raw], object] | None:
        if (self.limits.max_bytes or _NO_LIMIT) < QUICK_BYTES:
            return None
        if self.record.unknown == "open":
            thorough = self.thorough()
            return lambda data: thorough(bytes(data))
        type_ = quick_type(self.record)
        if type_ is None or self.may_be_too_deep():
            return None
        return msgspec.json.Decoder(type_).decode

    def may_be_too_deep(self) -> bool:
        deepest, max_depth = model.depth(self.record), self.limits.max_depth
        return max_depth is not None and (deepest is None or deepest > max_depth)

    def divided(self) -> Callable[[bytes], Split]:
        """Splits text that the strict form refused."""
        lenient, thorough, limits = self.lenient, self.thorough(), self.limits
        names = frozenset(each.name for each in self.record.fields)

        def divided(data: bytes) -> Split:
            value = thorough(data)
            return value, *_apart(data, names)

        def divided_flat(data: bytes) -> Split:
            limits.check_bytes(data)
            value = lenient(data)
            declared, extra = _apart(data, names)
            # Nothing was skipped but these.
            limits.check_depth(extra)
            _ANY.decode(extra)
            _check_utf8(data)
            return value, declared, extra

        return divided_flat if self.verifier() is None and not _keeps_inside(self.record) else divided


def _has_least_length(type_: model.Type) -> bool:
    """Whether a text may be too short although its bytes are many enough."""
    return isinstance(type_, model.Text) and (type_.min_length or 0) > 1


def _keeps_inside(record: Record) -> bool:
    """Whether a record inside this one may have fields that are not declared."""
    inner = (part for type_ in model.walk(record) for part in model.parts(type_))
    return any(isinstance(each, Record) and each.unknown != "reject" for each in inner)


def _has_json(record: Record) -> bool:
    return any(isinstance(each, model.Json) for each in model.walk(record))


def _check_utf8(data: bytes) -> None:
    if not data.isascii():
        str(data, "utf-8")


def _apart(data: bytes, declared: frozenset[str]) -> tuple[bytes, bytes]:
    """Properties that are declared and properties that are not, values as they were sent."""
    properties = _PROPERTIES.decode(data)
    extra = {name: value for name, value in properties.items() if name not in declared}
    if not extra:  # it is deeper inside, and stays there
        return data, _NOTHING
    for name in extra:
        del properties[name]
    return msgspec.json.encode(properties), msgspec.json.encode(extra)


def _explaining(record: Record, limits: _Limits, decode: Callable[[bytes], Any]) -> Callable[..., list[Fault]]:
    find = compile_explain(record)

    def explain(data: bytes, root: str = "$") -> list[Fault]:
        try:
            limits.check_bytes(data)
            limits.check_depth(data)
            found = find(data, root)
        except FaultError as error:
            return [from_decode_error(error, root=root)]
        except RecursionError:
            found = []
        if found:
            return found
        # A name that occurs twice is read once here and twice by the decoder: the decoder has the last word.
        try:
            decode(data)
        except DECODE_ERRORS as error:
            return [from_decode_error(error, root=root)]
        return []

    return explain
