"""The schema files of this release: `avro/SUBJECT/VERSION.avsc` and their ids in `ids.json`.

Ids are recorded, never computed: a topic written years ago must still name the schema it was written with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import msgspec

from core.errors import ConfigError

_ROOM = Path(__file__).parent
# What a file that is no schema raises: fastavro checks as it goes and leaves some of it to Python.
_NOT_AVRO = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
    KeyError,
    TypeError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One version of one subject.

    `source` is the file's JSON, `parsed` fastavro's form of it, `plain` the same without logical types: timestamps are
    then read as the integers they are stored as.
    """

    subject: str
    version: int
    id: int
    source: dict[str, Any]
    parsed: Any
    plain: Any


class Registry:
    """All schemas by (subject, version) and by id.

    Raises:
        ConfigError: a file is no Avro schema, or has no recorded id. Names the file.
    """

    def __init__(self, folder: Path) -> None:
        ids = msgspec.json.decode((folder / "ids.json").read_bytes(), type=dict[str, dict[str, int]])
        self._by_id: dict[int, Schema] = {}
        self._by_version: dict[tuple[str, int], Schema] = {}
        for path in sorted((folder / "avro").glob("*/*.avsc")):
            schema = _load(path, ids)
            self._by_id[schema.id] = schema
            self._by_version[schema.subject, schema.version] = schema

    def get(self, subject: str, version: int) -> Schema:
        return self._by_version[subject, version]

    def by_id(self, schema_id: int) -> Schema | None:
        return self._by_id.get(schema_id)

    def versions(self, subject: str) -> list[int]:
        return sorted(version for name, version in self._by_version if name == subject)

    def subjects(self) -> list[str]:
        return sorted({name for name, _ in self._by_version})


def _load(path: Path, ids: dict[str, dict[str, int]]) -> Schema:
    subject, version = path.parent.name, path.stem
    schema_id = ids.get(subject, {}).get(version)
    if schema_id is None:
        raise ConfigError(
            f"{path}: no id is recorded for {subject} version {version}", hint="Add it to schemas/ids.json."
        )
    try:
        source = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        parsed = fastavro.parse_schema(source, named_schemas={})
    except _NOT_AVRO as error:
        raise ConfigError(f"{path}: no Avro schema: {error!r}") from error
    if source["type"] != "record" or "fields" not in source:
        raise ConfigError(f"{path}: not an Avro record")
    plain = fastavro.parse_schema(_without_logical_types(source), named_schemas={})
    return Schema(subject, int(version), schema_id, source, parsed, plain)


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return [_without_logical_types(value) for value in node] if isinstance(node, list) else node


@cache
def bundled() -> Registry:
    """The registry of the schemas that ship with this release."""
    return Registry(_ROOM)
