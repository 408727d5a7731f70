"""Our schemas over HTTP as Confluent's Schema Registry has them, so that Kafka tools decode our topics. Read only.

Paths, answers and error codes are Confluent's: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
Releasing is `sluice schemas release`'s: what would write is refused, but for registering what is there already, which
is how many producers ask for an id.

The one module of this room that knows HTTP; nothing of the flow imports it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core.topics import Topics
from schemas import lock
from schemas.compatibility.modes import DEFAULT_MODE
from schemas.registry import Registry, Schema
from schemas.registry_view import ApiError, View, content, registered

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
# Many times the largest schema that makes sense; judging one is not free.
MAX_BODY_BYTES = 256 * 1024
_BODY_DEADLINE_S = 10.0
_READ_ONLY = "This registry is read only. Release a version with `sluice schemas release`."
_READERS_ONLY_MODE = "READONLY"

Answer = Callable[[View, Request], Any]


class _Reference(msgspec.Struct):
    name: str
    subject: str
    version: int


class _Candidate(msgspec.Struct, rename="camel"):
    """The body of a lookup. What else a client sends (metadata, rules) is not looked at."""

    schema: str = ""
    schema_type: str | None = None
    references: list[_Reference] | None = None


def create_app(current: Callable[[], Registry], *, topics: Topics) -> Starlette:
    """`current` gives the registry as it is now; it is asked once a request."""

    def get(path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            return _json(answer(View(current(), topics), request))

        return Route(path, endpoint, methods=["GET"])

    def post(path: str, answer: Callable[[View, Request, _Candidate], Any]) -> Route:
        async def endpoint(request: Request) -> Response:
            candidate = await _candidate(request)
            return _json(answer(View(current(), topics), request, candidate))

        return Route(path, endpoint, methods=["POST"])

    at = "/subjects/{subject}/versions/{version}"
    routes = [
        get("/", lambda _view, _request: {}),
        get("/contexts", lambda _view, _request: ["."]),
        get("/subjects", lambda view, request: _page(view.subjects(_subject_prefix(request)), request)),
        post("/subjects/{subject}", _lookup),
        get("/subjects/{subject}/versions", lambda view, request: _page(view.versions(_subject(request)), request)),
        post("/subjects/{subject}/versions", _register),
        get(at, lambda view, request: registered(_version(view, request), _subject(request))),
        get(f"{at}/schema", lambda view, request: lock.content(_version(view, request).source)),
        get(f"{at}/referencedby", lambda view, request: view.referenced_by(_version(view, request))),
        get("/schemas/types", lambda _view, _request: ["AVRO"]),
        get("/schemas/ids/{id}", _by_id),
        get("/schemas/ids/{id}/schema", lambda view, request: lock.content(_schema(view, request).source)),
        get("/schemas/ids/{id}/subjects", lambda view, request: _page(_names(view, request), request)),
        get("/schemas/ids/{id}/versions", _versions_of_id),
        get("/schemas/guids/{guid}", lambda view, request: content(view.by_guid(request.path_params["guid"]))),
        get("/config", lambda _view, _request: {"compatibilityLevel": DEFAULT_MODE}),
        get("/config/{subject}", lambda view, request: {"compatibilityLevel": view.mode(_subject(request))}),
        get("/mode", lambda _view, _request: {"mode": _READERS_ONLY_MODE}),
        get("/mode/{subject}", _mode),
        post("/compatibility/subjects/{subject}/versions", _compatibility),
        post("/compatibility/subjects/{subject}/versions/{version}", _compatibility),
    ]
    handlers: Any = {ApiError: _refused, HTTPException: _http_error, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


# -- answers


def _by_id(view: View, request: Request) -> Any:
    schema = _schema(view, request)
    subject = request.query_params.get("subject")
    named = registered(schema, subject) if subject in view.names(schema) else content(schema)
    return named | ({"maxId": view.max_id()} if _flag(request, "fetchMaxId") else {})


def _versions_of_id(view: View, request: Request) -> Any:
    version = _schema(view, request).version
    return _page([{"subject": name, "version": version} for name in _names(view, request)], request)


def _mode(view: View, request: Request) -> Any:
    view.versions(_subject(request))  # there must be such a subject
    return {"mode": _READERS_ONLY_MODE}


def _lookup(view: View, request: Request, candidate: _Candidate) -> Any:
    subject = _subject(request)
    return registered(view.lookup(subject, *_content(candidate)), subject)


def _register(view: View, request: Request, candidate: _Candidate) -> Any:
    try:
        schema = view.lookup(_subject(request), *_content(candidate))
    except ApiError as error:
        if error.error_code not in {40401, 40403}:
            raise
        raise ApiError(42205, f"Subject {_subject(request)} is in read-only mode. {_READ_ONLY}") from error
    return {"id": schema.id, "version": schema.version, "guid": str(schema.guid)}


def _compatibility(view: View, request: Request, candidate: _Candidate) -> Any:
    version = request.path_params.get("version", "")
    messages = view.incompatible(_subject(request), *_content(candidate), version=version)
    return {"is_compatible": not messages} | ({"messages": messages} if _flag(request, "verbose") else {})


# -- what a request says


def _subject(request: Request) -> str:
    return str(request.path_params["subject"])


def _subject_prefix(request: Request) -> str:
    # Registries with contexts name the default one so, and ":*:" all of them; here is only the default.
    given = request.query_params.get("subjectPrefix", "")
    return given.removeprefix(":*:").removeprefix(":.:")


def _version(view: View, request: Request) -> Schema:
    return view.version(_subject(request), request.path_params["version"])


def _schema(view: View, request: Request) -> Schema:
    return view.by_id(request.path_params["id"])


def _names(view: View, request: Request) -> list[str]:
    wanted = request.query_params.get("subject")
    return [name for name in view.names(_schema(view, request)) if wanted in {None, "", name}]


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _page(items: list[Any], request: Request) -> list[Any]:
    offset, limit = (_integer(request, name, default) for name, default in (("offset", 0), ("limit", -1)))
    rest = items[max(offset, 0) :]
    return rest if limit < 0 else rest[:limit]


def _integer(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    try:
        return int(given) if given else default
    except ValueError:  # Python also refuses numbers of thousands of digits so
        raise ApiError(400, f"{name} must be an integer") from None


async def _candidate(request: Request) -> _Candidate:
    try:
        async with asyncio.timeout(_BODY_DEADLINE_S):
            body = await _body(request)
    except ClientDisconnect:
        raise ApiError(400, "The client left") from None
    except TimeoutError:
        raise ApiError(408, "The request's body did not come in time") from None
    try:
        return msgspec.json.decode(body, type=_Candidate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The request's body is no schema request: {error}") from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(413, f"The request's body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _content(candidate: _Candidate) -> tuple[str, list[dict[str, Any]] | None]:
    if candidate.schema_type not in {None, "", "AVRO"}:
        raise ApiError(42201, f"Invalid schema type {candidate.schema_type}: every schema here is AVRO")
    if not candidate.schema:
        raise ApiError(42201, "Empty schema")
    references = msgspec.to_builtins(candidate.references)
    return candidate.schema, references or None


# -- responses


def _json(answer: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(answer, separators=(",", ":")), status, headers=headers, media_type=MEDIA_TYPE)


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json({"error_code": code, "message": message}, status=status, headers=headers)


async def _refused(_request: Request, error: ApiError) -> Response:
    # What of the body is still to come is not read.
    headers = {"Connection": "close"} if error.http_status in {408, 413} else None
    return _error(error.http_status, error.error_code, error.message, headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    """Paths that are none, and methods that would write."""
    if error.status_code == 405:
        return _error(405, 405, f"{request.method} is not possible here. {_READ_ONLY}", dict(error.headers or {}))
    return _error(error.status_code, error.status_code, f"HTTP {error.status_code} {error.detail}")


async def _failed(_request: Request, _defect: Exception) -> Response:
    """A defect. It goes on to the server, which logs it with its trace."""
    return _error(500, 50001, "Error in the schema registry; its log says more")
