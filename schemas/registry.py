"""The schemas of a folder: `avro/SUBJECT/VERSION.avsc`, released by `lock.json`.

A file that the lock does not name is a draft: only who asks for drafts sees it. Parsing and looking up is all that
happens here; judging a change is `compatibility`'s and `lint`'s.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import fastavro

from core.errors import ConfigError
from schemas import files, lock
from schemas.references import inline
from schemas.released import Released

Kind = Literal["event", "context", "record"]
KINDS: tuple[Kind, ...] = ("event", "context", "record")
BUNDLED = Path(__file__).parent
DRAFT_ID = 0
# What a file that is JSON but no schema raises: fastavro checks as it goes and leaves some of it to Python.
_NOT_AVRO = (
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One version of one subject.

    `source` is the file's JSON. `resolved` is the same with the types of other files written out. `parsed` is
    fastavro's form of that, `plain` the same without logical types: timestamps are then read as the integers they are
    stored as. A draft has the id `DRAFT_ID`; `edited` says that the file is not what was released.
    """

    subject: str
    version: int
    id: int
    guid: uuid.UUID
    kind: Kind
    path: Path
    edited: bool
    source: dict[str, Any]
    resolved: dict[str, Any]
    parsed: Any
    plain: Any

    @property
    def label(self) -> str:
        return f"{self.subject}:{self.version}"

    @property
    def draft(self) -> bool:
        return self.id == DRAFT_ID


class Registry:
    """All schemas of `folder` by (subject, version), id and GUID.

    `records` are schemas of ours that a folder of contracts shares with the release (see `registry_at`).

    Raises:
        ConfigError: a file is no Avro schema, or a released one was edited (not if `drafts` are asked for, where
            `Schema.edited` says so), or the lock names one that is not there. Names the file.
    """

    def __init__(self, folder: Path, *, drafts: bool = False, records: tuple[Schema, ...] = ()) -> None:
        self.folder = folder
        self._drafts = drafts
        self._lock = lock.read(folder)
        self._paths = {(path.parent.name, _version(path)): path for path in sorted((folder / "avro").glob("*/*.avsc"))}
        self._by_version: dict[tuple[str, int], Schema] = {(s.subject, s.version): s for s in records}
        self._sent: dict[tuple[str, int], Released] = {}
        self._loading: list[tuple[str, int]] = []
        self._check_lock()
        for subject, version in self._paths:
            if drafts or version in self._lock.get(subject, {}):
                self._load(subject, version)
        self._index()

    def plus(self, released: Iterable[Released]) -> Registry:
        """This registry with versions that were released after the files were read.

        A version that is known already keeps its content; its lifecycle becomes the one in `released`.

        Raises:
            ConfigError: one is no Avro schema, has an id that is taken, or is not what was released under its name.
        """
        other = copy.copy(self)
        other._by_version = dict(self._by_version)
        other._loading = []
        other._sent = {(each.subject, each.version): each for each in released}
        for subject, version in other._sent:
            other._by_version.pop((subject, version), None)
        for subject, version in other._sent:
            other._load(subject, version)
        other._index()
        for key, schema in self._by_version.items():
            if not schema.draft and other._by_version[key].guid != schema.guid:
                raise ConfigError(f"{schema.label} was released with another content")
        return other

    def _index(self) -> None:
        released = [schema for schema in self._by_version.values() if not schema.draft]
        self._by_id = {schema.id: schema for schema in released}
        self._by_guid = {schema.guid: schema for schema in released}
        if len(self._by_id) != len(released):
            raise ConfigError(f"{self.folder / lock.FILE}: an id is taken by another schema")

    def get(self, subject: str, version: int) -> Schema:
        """Raises KeyError if there is none."""
        return self._by_version[subject, version]

    def find(self, subject: str, version: int) -> Schema | None:
        return self._by_version.get((subject, version))

    def latest(self, subject: str) -> Schema:
        """The newest version. Raises KeyError if there is none."""
        versions = self.versions(subject)
        if not versions:
            raise KeyError(subject)
        return self.get(subject, versions[-1])

    def by_id(self, schema_id: int) -> Schema | None:
        return self._by_id.get(schema_id)

    def by_guid(self, guid: uuid.UUID) -> Schema | None:
        return self._by_guid.get(guid)

    def versions(self, subject: str) -> list[int]:
        return sorted(version for name, version in self._by_version if name == subject)

    def subjects(self, kind: Kind | None = None) -> list[str]:
        return sorted({s.subject for s in self._by_version.values() if kind is None or s.kind == kind})

    def schemas(self, kind: Kind | None = None) -> list[Schema]:
        """All, by subject and version."""
        return [s for _, s in sorted(self._by_version.items()) if kind is None or s.kind == kind]

    def _check_lock(self) -> None:
        for subject, versions in self._lock.items():
            for version in versions:
                if (subject, version) not in self._paths:
                    raise ConfigError(
                        f"{self.folder / 'avro' / subject / f'{version}.avsc'}: released, but not there",
                        hint="Restore it from version control: topics hold records that name it.",
                    )

    def _load(self, subject: str, version: int) -> Schema:
        key = (subject, version)
        if key in self._by_version:
            return self._by_version[key]
        path = self._paths.get(key, self.folder / "avro" / subject / f"{version}.avsc")
        if key in self._loading:
            raise ConfigError(f"{path}: its references lead back to itself")
        self._loading.append(key)
        sent = self._sent.get(key)
        source = sent.source if sent else files.read(path)
        entry = lock.entry(source, sent.id) if sent else self._lock.get(subject, {}).get(version)
        edited = entry is not None and lock.fingerprint(source) != entry.fingerprint
        if edited and not self._drafts:
            raise ConfigError(
                f"{path}: a released version was edited",
                hint=f"Restore it, and make the change in version {version + 1}: `sluice schemas new {subject}`.",
            )
        entry = entry or lock.entry(source, DRAFT_ID)
        resolved, parsed, plain = self._parse(path, source)
        schema = Schema(
            subject, version, entry.id, entry.guid, source["kind"], path, edited, source, resolved, parsed, plain
        )
        self._loading.pop()
        self._by_version[key] = schema
        return schema

    def _parse(self, path: Path, source: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
        if source.get("type") != "record" or not isinstance(source.get("fields"), list):
            raise ConfigError(f"{path}:1: not an Avro record")
        if source.get("kind") not in KINDS:
            raise ConfigError(f"{path}:1: `kind` must be one of {', '.join(KINDS)}")
        try:
            resolved = inline(source, self._referenced)
            parsed = fastavro.parse_schema(resolved, named_schemas={})
            plain = fastavro.parse_schema(_without_logical_types(resolved), named_schemas={})
        except ConfigError as error:
            raise error if error.message.startswith(str(self.folder)) else _at(path, source, error) from error
        except _NOT_AVRO as error:
            raise _at(path, source, error) from error
        return resolved, parsed, plain

    def _referenced(self, subject: str, version: int) -> dict[str, Any]:
        if (subject, version) in self._by_version:
            return self._by_version[subject, version].resolved
        if (subject, version) not in self._paths and (subject, version) not in self._sent:
            raise ConfigError(f"the reference {subject}:{version} is not there")
        return self._load(subject, version).resolved


def _version(path: Path) -> int:
    if not path.stem.isdecimal() or int(path.stem) < 1 or path.stem != str(int(path.stem)):
        raise ConfigError(f"{path}: the name of a schema file is its version, 1 or above")
    return int(path.stem)


def _at(path: Path, source: dict[str, Any], error: Exception) -> ConfigError:
    """The error with the line of the first field that cannot be parsed by itself, as fastavro tells no place."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    line = next((files.line_of(text, str(f.get("name"))) for f in _fields(source) if not _parses(f)), 1)
    said = error.message if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return ConfigError(f"{path}:{line}: no Avro schema: {said}", hint=getattr(error, "hint", ""))


def _fields(source: dict[str, Any]) -> list[dict[str, Any]]:
    return [field for field in source["fields"] if isinstance(field, dict)]


def _parses(field: dict[str, Any]) -> bool:
    try:
        fastavro.parse_schema({"type": "record", "name": "_", "fields": [field]}, named_schemas={})
    except _NOT_AVRO:
        return False
    return True


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return [_without_logical_types(value) for value in node] if isinstance(node, list) else node


@cache
def bundled() -> Registry:
    """The registry of the schemas that ship with this release."""
    return Registry(BUNDLED)


def registry_at(folder: Path | str | None, *, drafts: bool = False) -> Registry:
    """The contracts of `folder` (those of this release if None or empty), always with this release's own records.

    Raises:
        ConfigError: see `Registry`; also if `folder` has no `avro` folder.
    """
    folder = Path(folder) if folder else BUNDLED
    if folder.resolve() == BUNDLED:
        return Registry(BUNDLED, drafts=True) if drafts else bundled()
    if not (folder / "avro").is_dir():
        raise ConfigError(
            f"{folder}: no schema folder: it has no `avro` in it", hint="`sluice schemas init` makes one."
        )
    return Registry(folder, drafts=drafts, records=tuple(bundled().schemas("record")))
