"""The HTTP interface as an OpenAPI 3.1 document, made from the types that judge requests and render answers."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from collector import key_admin, pixel, problems
from collector.contract import Batch, Event
from collector.key_views import ClientConfig, KeyView, Listed, NewKey, Revoking, Rotation
from collector.verdicts import Answer

PATH = "/openapi.json"
_COLLECT = "/api/v1/tracking/collect/"
_BEACON = "/api/v1/tracking/beacon/"
_REF = "#/components/schemas/{name}"
_OBJECTS = ("properties", "context")
# The decoder takes objects as they are and judges them afterwards; here they are said to be objects.
_EVENT = msgspec.defstruct(
    "Event",
    [
        (field.encode_name, dict[str, Any] | None, None)
        if field.name in _OBJECTS
        else (field.encode_name, field.type)
        if field.required
        else (field.encode_name, field.type, field.default)
        for field in msgspec.structs.fields(Event)
    ],
    forbid_unknown_fields=True,
)
_TYPES = (_EVENT, Batch, Answer, problems.Problem, KeyView, Listed, NewKey, Rotation, Revoking, ClientConfig)
_KEY: list[dict[str, list[str]]] = [{"trackingKey": []}, {}]
_ADMIN: list[dict[str, list[str]]] = [{"adminToken": []}]

# Codes of problems, by status: what docs/http.md explains, and a test holds equal to what the code can say.
PROBLEMS: dict[int, tuple[str, ...]] = {
    400: ("bad_request", "invalid_json", "invalid_encoding", "invalid_query", "malformed_request"),
    401: ("unauthorized",),
    403: ("tenant_mismatch", "origin_not_allowed", "browser_key_required"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("body_timeout",),
    409: ("conflict",),
    413: ("too_large", "too_many_events"),
    414: ("uri_too_long",),
    415: ("unsupported_encoding",),
    429: ("rate_limited",),
    431: ("head_too_large",),
    500: ("internal",),
    503: ("not_stored", "contracts_unavailable", "overloaded", "unavailable", "ingest_disabled"),
}
_TO_COLLECT = (400, 401, 403, 405, 408, 413, 414, 415, 429, 431, 500, 503)
_TO_ADMIN = (400, 401, 404, 409, 429, 503)


@cache
def document() -> bytes:
    """As JSON, the same bytes for the same release."""
    return msgspec.json.format(msgspec.json.encode(_document()), indent=1) + b"\n"


def _document() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    schemas["Batch"]["properties"]["events"]["items"] = {"$ref": _REF.format(name="Event")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sluice collector", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": {
            _COLLECT: {"post": _collect("Take events", query=[_validate()])},
            _BEACON: {
                "post": _collect("Take events of navigator.sendBeacon, the key in the body", query=[_validate()])
            },
            next(iter(pixel.PATHS)): {"get": _pixel()},
            **_keys(),
            "/health/live": {"get": _plain("Whether the process answers", {"200": "It does."})},
            "/health/ready": {
                "get": _plain("Whether events sent now will be stored", {"200": "They will.", "503": "Why not."})
            },
            "/metrics": {"get": _plain("Metrics of all processes on the port", {"200": "Prometheus text."})},
            PATH: {"get": _plain("This document", {"200": "OpenAPI 3.1."})},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "trackingKey": {"type": "http", "scheme": "bearer", "description": "Or in the body."},
                "adminToken": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _collect(summary: str, *, query: list[Any]) -> dict[str, Any]:
    one, several = {"$ref": _REF.format(name="Event")}, {"$ref": _REF.format(name="Batch")}
    return {
        "summary": summary,
        "security": _KEY,
        "parameters": query,
        "requestBody": {
            "required": True,
            "description": "The content type is not looked at. Content-Encoding may be gzip, deflate, br or zstd.",
            "content": {"application/json": {"schema": {"oneOf": [one, {"type": "array", "items": one}, several]}}},
        },
        "responses": {"200": _answer("Answer", "A verdict for each event."), **_problems(_TO_COLLECT, answer="Answer")},
    }


def _pixel() -> dict[str, Any]:
    fields = [name for name in Event.__struct_fields__ if name != "tracking_key"]
    return {
        "summary": "Take one event in a URL",
        "parameters": [
            {"name": name, "in": "query", "required": name == "event_type", "schema": {"type": "string"}}
            for name in ("key", *fields)
        ],
        "responses": {
            "200": {"description": "A picture of one pixel.", "content": {"image/gif": {}}},
            **_problems((400, 401, 403, 405, 414, 431, 500, 503)),
        },
    }


def _keys() -> dict[str, Any]:
    path, one = key_admin.PATH, key_admin.PATH + "{key_id}/"
    key_id = [{"name": "key_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    page = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("tenant", "after")]
    return {
        path: {
            "get": _admin("List keys", "200", Listed, parameters=page),
            "post": _admin("Make a key", "201", KeyView, body=NewKey),
        },
        one: {"get": _admin("Show a key", "200", KeyView, parameters=key_id)},
        one + "rotate/": {"post": _admin("Replace a key", "201", KeyView, body=Rotation, parameters=key_id)},
        one + "revoke/": {"post": _admin("Revoke a key", "200", KeyView, body=Revoking, parameters=key_id)},
        one + "config/": {"get": _admin("What a client needs", "200", ClientConfig, parameters=key_id)},
    }


def _admin(
    summary: str, status: str, answer: type, *, body: type | None = None, parameters: list[Any] | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "security": _ADMIN}
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {
            "content": {"application/json": {"schema": {"$ref": _REF.format(name=body.__name__)}}}
        }
    operation["responses"] = {status: _answer(answer.__name__, summary + "."), **_problems(_TO_ADMIN)}
    return operation


def _plain(summary: str, answers: dict[str, str]) -> dict[str, Any]:
    return {"summary": summary, "responses": {status: {"description": said} for status, said in answers.items()}}


def _validate() -> dict[str, Any]:
    return {
        "name": "validate",
        "in": "query",
        "description": "strict: say what the contracts say and store nothing.",
        "schema": {"enum": ["strict"]},
    }


def _answer(schema: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}}


def _problems(statuses: tuple[int, ...], *, answer: str = "") -> dict[str, Any]:
    found = {}
    for status in statuses:
        content: dict[str, Any] = {problems.PROBLEM_JSON.decode(): {"schema": {"$ref": _REF.format(name="Problem")}}}
        if status == 503 and answer:  # some events are to be sent again
            content["application/json"] = {"schema": {"$ref": _REF.format(name=answer)}}
        found[str(status)] = {"description": ", ".join(PROBLEMS[status]), "content": content}
    return found
