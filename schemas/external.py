"""Client of a schema registry that is not ours (Confluent's HTTP API), and the memory of what it told.

What it ever told is kept in a file: an id never changes its schema, so the file serves while the registry is away, slow
or broken, and when a schema was deleted there.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import urllib3

from core.errors import ConfigError, RefusedError, UnavailableError
from core.log import get_logger

log = get_logger(__name__)

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_CONNECT_TIMEOUT_S = 3.0
_ANSWER_TIMEOUT_S = 10.0
# Of one schema with its references; what is larger is no answer of a registry.
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_NOT_THERE = frozenset({40401, 40402, 40403})


class RegistryRefusedError(RefusedError):
    """The registry answered with an error. `number` is its `error_code`."""

    code = "schema_registry"

    def __init__(self, message: str, *, number: int) -> None:
        super().__init__(message)
        self.number = number


class Reference(msgspec.Struct, frozen=True):
    """A schema that another one uses, by its subject and version in that registry."""

    name: str
    subject: str
    version: int


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schema there. Subject and version are empty where it was found by its id or GUID."""

    subject: str = ""
    version: int = 0
    id: int
    guid: uuid.UUID | None = None
    schema: str
    references: tuple[Reference, ...] = ()


class _Cache(msgspec.Struct):
    url: str
    known: list[Known] = []


class ExternalRegistry:
    """One registry and what is known of it. Not thread-safe; several processes may share the file."""

    def __init__(self, url: str, *, user: str = "", password: str = "", cache: Path) -> None:
        """Raises ConfigError if `url` is none."""
        parts = urlsplit(url)
        if parts.username is not None:
            raise ConfigError(
                "SLUICE_SCHEMA_REGISTRY_URL has a user in it, and would be logged with the password",
                hint="SLUICE_SCHEMA_REGISTRY_USER and SLUICE_SCHEMA_REGISTRY_PASSWORD are for that.",
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"SLUICE_SCHEMA_REGISTRY_URL is {url!r}, which is no http(s)://host:port")
        self.url = url.rstrip("/")
        self._headers = {"Accept": f"{_MEDIA_TYPE}, application/json", "Content-Type": _MEDIA_TYPE}
        if user:
            self._headers |= urllib3.make_headers(basic_auth=f"{user}:{password}")
        timeout = urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_ANSWER_TIMEOUT_S)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False, cert_reqs="CERT_REQUIRED")
        self._path = cache
        self._known = self._read()

    def names(self, subject: str, schema: str) -> list[Known]:
        """All that is known already of a schema's text under a subject, in the order it was learnt."""
        return [each for each in self._known if (each.subject, each.schema) == (subject, schema)]

    def lookup(self, subject: str, schema: str, references: tuple[Reference, ...] = ()) -> Known | None:
        """Ask for a schema under a subject; None if it is not there.

        Raises:
            UnavailableError: no answer in time, or one that says to try later.
            RegistryRefusedError: it answered with another error.
        """
        try:
            answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}", _request(schema, references))
        except RegistryRefusedError as error:
            if error.number in _NOT_THERE:
                return None
            raise
        found = self._found(answer)
        return self._learn(msgspec.structs.replace(found, subject=subject, schema=schema, references=references))

    def register(self, subject: str, schema: str, references: tuple[Reference, ...] = ()) -> Known:
        """The schema under that subject, which it is put under unless it is there. Raises as `lookup`."""
        found = self.lookup(subject, schema, references)
        if found is not None:
            return found
        self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", _request(schema, references))
        # Its answer tells the id alone.
        found = self.lookup(subject, schema, references)
        if found is None:
            raise UnavailableError(f"the schema registry at {self.url} took {subject} and does not know it yet")
        return found

    def find(self, name: int | uuid.UUID) -> Known:
        """The schema that an id or a GUID stands for; one that is known already is not asked for.

        Raises:
            UnavailableError, RegistryRefusedError: as `lookup`; also if there is none.
        """
        for each in self._known:
            if name in {each.id, each.guid}:
                return each
        if isinstance(name, uuid.UUID):
            return self._learn(self._found(self._ask("GET", f"/schemas/guids/{name}"), guid=name))
        return self._learn(self._found(self._ask("GET", f"/schemas/ids/{name}"), id=name))

    def _found(self, answer: Any, **told: Any) -> Known:
        try:
            # Some registries write what they do not have as null.
            return msgspec.convert({k: v for k, v in {**answer, **told}.items() if v is not None}, Known, strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            raise UnavailableError(f"{self.url} does not answer as a schema registry: {error}") from error

    # what goes over the network

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        try:
            answer = self._pool.request(
                method, self.url + path, body=body, headers=self._headers, redirect=False, preload_content=False
            )
            content = b"".join(_pieces(answer, deadline))
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise UnavailableError(
                f"the schema registry at {self.url} does not answer: {error}",
                hint="Is it running? SLUICE_SCHEMA_REGISTRY_URL names it.",
            ) from error
        if answer.status == 200:
            return self._decoded(content)
        raise self._error(answer.status, content)

    def _decoded(self, content: bytes) -> Any:
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnavailableError(f"{self.url} does not answer as a schema registry: {error}") from error

    def _error(self, status: int, content: bytes) -> ConfigError | RegistryRefusedError | UnavailableError:
        number, message = _told(content)
        said = f"the schema registry at {self.url} answered {status}" + (f": {message}" if message else "")
        if status in {401, 403}:
            hint = "SLUICE_SCHEMA_REGISTRY_USER and SLUICE_SCHEMA_REGISTRY_PASSWORD say who asks."
            return ConfigError(said, hint=hint)
        if status in {408, 429} or status >= 500:
            return UnavailableError(said)
        return RegistryRefusedError(said, number=number)

    # what is known

    def _learn(self, known: Known) -> Known:
        before = self._read()  # another process may have learnt something meanwhile
        self._known = [*(each for each in before if each != known), known]
        if self._known != before:
            self._write()
        return known

    def _read(self) -> list[Known]:
        try:
            cache = msgspec.json.decode(self._path.read_bytes(), type=_Cache)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("schema_registry.cache_unreadable", path=str(self._path), error=str(error))
            return []
        # Ids of another registry are other ids.
        return cache.known if cache.url == self.url else []

    def _write(self) -> None:
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(_Cache(self.url, self._known))))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            # It serves the next start, not this one.
            log.warning("schema_registry.cache_not_written", path=str(self._path), error=str(error))


def _request(schema: str, references: tuple[Reference, ...]) -> bytes:
    body: dict[str, Any] = {"schema": schema}
    return msgspec.json.encode(body | ({"references": references} if references else {}))


def _told(content: bytes) -> tuple[int, str]:
    """`error_code` and `message` of an error; 0 and nothing where a proxy answered."""
    try:
        error = msgspec.json.decode(content, type=dict[str, Any])
        return int(error.get("error_code", 0)), str(error.get("message", ""))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, ValueError):
        return 0, ""


def _pieces(answer: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
    """The body within its bytes and its time, however slowly it trickles. Raises TimeoutError, HTTPError."""
    size = 0
    while piece := answer.read1(_PIECE_BYTES):
        size += len(piece)
        if size > _MAX_ANSWER_BYTES or time.monotonic() > deadline:
            answer.close()
            raise TimeoutError(f"no end of the answer after {size} bytes or {_ANSWER_TIMEOUT_S:g} s")
        yield piece
    answer.release_conn()
