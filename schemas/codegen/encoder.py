"""Avro record → a straight-line encoder function, generated as readable source (Avro 1.12, "Binary encoding").

`encode(field, field, …)` takes the record's fields in order and returns framed Avro bytes, equal to what fastavro
writes (a property test holds it to that). Flat records only: nested types are left to fastavro, off the hot path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import ConfigError
from schemas import framing
from schemas.registry import Schema

Encode = Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class Encoder:
    """`source` is the generated code of `encode`, to be read."""

    encode: Encode
    source: str


def varint(value: int) -> bytes:
    """Zig-zag variable-length integer."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


class _Varints(dict[int, bytes]):
    """Memo of string lengths, which repeat. Bounded, since a client chooses them."""

    _LIMIT = 65_536

    def __missing__(self, value: int) -> bytes:
        encoded = varint(value)
        if len(self) < self._LIMIT:
            self[value] = encoded
        return encoded


def compile_encoder(schema: Schema) -> Encoder:
    """Generate the encoder of a flat record schema.

    Raises:
        ConfigError: a field is not of a flat type.
    """
    # The underscore keeps a field's name from being a keyword or one of the names the code uses.
    kinds = [(f"{field['name']}_", _kind(field["type"])) for field in schema.source["fields"]]
    head = framing.prefix(schema.id)
    arguments = ", ".join(name for name, _ in kinds)
    source = _any_source(kinds, arguments)
    namespace: dict[str, Any] = {"HEAD": head, "V": _Varints(), "varint": varint, "join": b"".join}
    exec(compile(source, f"<encoder of {schema.subject}>", "exec"), namespace)  # noqa: S102 (source is ours, from a schema file)
    return Encoder(namespace["encode"], source)


def _kind(avro: Any) -> str:
    match avro["type"] if isinstance(avro, dict) else avro:
        case "int" | "long":
            return "long"
        case "string" | "boolean" | "bytes" as kind:
            return str(kind)
    raise ConfigError(f"no generated encoder for Avro type {avro!r}")


def _any_source(kinds: list[tuple[str, str]], arguments: str) -> str:
    lines, parts = [], ["HEAD"]
    for name, kind in kinds:
        if kind == "string":
            lines.append(f"    {name} = {name}.encode()")
        match kind:
            case "string" | "bytes":
                parts += [f"V[len({name})]", name]
            case "long":
                parts.append(f"varint({name})")
            case "boolean":
                parts.append(f"b'\\x01' if {name} else b'\\0'")
    body = "\n".join(lines)
    return f"def encode({arguments}):\n{body}\n    return join(({', '.join(parts)},))\n"
