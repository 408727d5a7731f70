"""A registry as Confluent's Schema Registry would show it: subjects, versions, ids. Knows no HTTP.

Subjects are our own and, for the topics of ours, `<topic>-value`, by which most tools look: the same versions under a
second name. A version's number and id are those of `lock.json`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

from core.errors import ConfigError, InputError
from core.topics import Topics
from schemas import lock
from schemas.compatibility import MODES, Mode, check
from schemas.compatibility.modes import DEFAULT_MODE
from schemas.compatibility.types import SchemaError, parse_record
from schemas.references import inline
from schemas.registry import Registry, Schema
from schemas.subjects import topic_subjects

MAX_NUMBER = 2**31 - 1  # ids and versions are Java ints there
_DIGITS = len(str(MAX_NUMBER))
# What tells an Avro schema from another one; a client that read our schema may have dropped all else.
_AVRO = frozenset(
    {"type", "name", "namespace", "fields", "items", "values", "symbols", "size"}
    | {"default", "logicalType", "precision", "scale"}
)
_NOT_A_SCHEMA = (AttributeError, KeyError, IndexError, RecursionError, TypeError, ValueError)


class ApiError(InputError):
    """`error_code` is Confluent's: an HTTP status, or one with two digits more."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.http_status = error_code if error_code < 1000 else error_code // 100


class View:
    """Answers as JSON values. What is not there raises ApiError."""

    def __init__(self, registry: Registry, topics: Topics) -> None:
        self.registry = registry
        self._topic_subjects = topic_subjects(topics)

    def subjects(self, prefix: str = "") -> list[str]:
        return sorted(name for name in (*self.registry.subjects(), *self._topic_subjects) if name.startswith(prefix))

    def versions(self, subject: str) -> list[int]:
        found = self.registry.versions(self._topic_subjects.get(subject, subject))
        if not found:
            raise ApiError(40401, f"Subject '{subject}' not found.")
        return found

    def version(self, subject: str, version: str) -> Schema:
        """`version` as in a path: a number, `latest` or -1."""
        known = self.versions(subject)
        if version in {"latest", "-1"}:
            number = known[-1]
        else:
            number = _number(version)
            if not number:
                raise ApiError(
                    42202,
                    f"The specified version '{version}' is not a valid version id. Allowed values are between "
                    f'[1, 2^31-1] and the string "latest"',
                )
        if number not in known:
            raise ApiError(40402, f"Version {number} not found.")
        return self.registry.get(self._topic_subjects.get(subject, subject), number)

    def by_id(self, text: str) -> Schema:
        return self.registry.by_id(_number(text)) or _not_found(f"Schema {text} not found")

    def by_guid(self, text: str) -> Schema:
        try:
            guid = uuid.UUID(text)
        except ValueError:
            _not_found(f"Schema {text} not found")
        return self.registry.by_guid(guid) or _not_found(f"Schema {text} not found")

    def names(self, schema: Schema) -> list[str]:
        """All subjects that a schema stands under."""
        others = [name for name, subject in self._topic_subjects.items() if subject == schema.subject]
        return sorted([schema.subject, *others])

    def referenced_by(self, schema: Schema) -> list[int]:
        """Ids of the schemas that use this one."""
        wanted = (schema.subject, schema.version)
        found = self.registry.schemas()
        return [each.id for each in found if wanted in [(r["subject"], r["version"]) for r in _references(each)]]

    def max_id(self) -> int:
        return max((schema.id for schema in self.registry.schemas()), default=0)

    def mode(self, subject: str) -> Mode:
        """The compatibility that the newest version asks of the next."""
        newest = self.version(subject, "latest")
        mode: Mode = newest.source.get("compatibility", DEFAULT_MODE)
        return mode if mode in MODES else DEFAULT_MODE

    def lookup(self, subject: str, text: str, references: list[dict[str, Any]] | None) -> Schema:
        """The version of `subject` that has this content: attribute for attribute, else all that Avro knows of it."""
        known = [self.version(subject, str(number)) for number in reversed(self.versions(subject))]
        source = _parsed(text)
        resolved = self._resolved(source, references)
        same = [schema for schema in known if lock.content(schema.source) == lock.content(source)]
        alike = [schema for schema in known if _avro_only(schema.resolved) == _avro_only(resolved)]
        return next(iter(same + alike), None) or _not_found("Schema not found")

    def incompatible(
        self, subject: str, text: str, references: list[dict[str, Any]] | None, *, version: str = ""
    ) -> list[str]:
        """Why a schema is no next version of `subject`, held against `version` or those its compatibility names."""
        mode = self.mode(subject)
        against = [self.version(subject, version)] if version else list(self._unbroken(subject))
        resolved = self._resolved(_parsed(text), references)
        try:
            return [str(each) for each in check(mode, resolved, [(s.version, s.resolved) for s in against])]
        except SchemaError as error:
            raise ApiError(42201, f"Invalid schema: {error.message}") from error

    def _unbroken(self, subject: str) -> Iterator[Schema]:
        for number in self.versions(subject):
            schema = self.version(subject, str(number))
            if "supersededBy" not in schema.source:
                yield schema

    def _resolved(self, source: dict[str, Any], references: list[dict[str, Any]] | None) -> dict[str, Any]:
        """The schema with the types of its references written out."""

        def referenced(subject: str, version: int) -> dict[str, Any]:
            return self.version(subject, str(version)).resolved

        try:
            resolved = inline(source if references is None else source | {"references": references}, referenced)
            parse_record(resolved)
        except ApiError as error:
            raise ApiError(42201, f"Invalid schema: a reference: {error.message}") from error
        except (ConfigError, SchemaError) as error:
            raise ApiError(42201, f"Invalid schema: {error.message}") from error
        except _NOT_A_SCHEMA as error:
            raise ApiError(42201, f"Invalid schema: {type(error).__name__}: {error}") from error
        return resolved


def content(schema: Schema) -> dict[str, Any]:
    """A schema as every answer has it. `schemaType` is left out, as for all that is Avro."""
    references = [{key: each[key] for key in ("name", "subject", "version")} for each in _references(schema)]
    return {"guid": str(schema.guid), **({"references": references} if references else {}), "schema": text(schema)}


def registered(schema: Schema, subject: str) -> dict[str, Any]:
    return {"subject": subject, "version": schema.version, "id": schema.id, **content(schema)}


@lru_cache(maxsize=4096)
def text(schema: Schema) -> str:
    """What its id stands for, for ever: the bytes its fingerprint was made of, whatever the layout of the file."""
    return json.dumps(lock.content(schema.source), sort_keys=True, separators=(",", ":"))


def _references(schema: Schema) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = schema.source.get("references", [])
    return found


def _not_found(message: str) -> NoReturn:
    raise ApiError(40403, message)


def _number(text: str) -> int:
    """A positive Java int; 0 for anything else."""
    plain = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if plain and int(text) <= MAX_NUMBER else 0


def _parsed(text: str) -> dict[str, Any]:
    try:
        source = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ApiError(42201, f"Invalid schema: not JSON: {error}") from error
    if not isinstance(source, dict) or source.get("type") != "record":
        raise ApiError(42201, "Invalid schema: every schema here is a record")
    return source


def _avro_only(node: Any, *, is_schema: bool = True) -> Any:
    """A schema's JSON without the attributes that Avro does not define, in one spelling."""
    if isinstance(node, list):
        return [_avro_only(each, is_schema=is_schema) for each in node]
    if not isinstance(node, dict) or not is_schema:
        return node
    kept = {key: _avro_only(value, is_schema=key != "default") for key, value in node.items() if key in _AVRO}
    return kept["type"] if set(kept) == {"type"} else kept
