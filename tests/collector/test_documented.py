"""docs/http.md, the OpenAPI document and the code name the same endpoints, codes and limits."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.routing import Route

from collector import faults, ingest, openapi, privacy
from collector.bounds import Bounds
from collector.contract import MAX_DEPTH, MAX_OBJECT_BYTES, MAX_PROPERTIES
from core.settings import Settings
from tests.collector.asgi import Client
from tests.collector.conftest import COLLECT, event

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
DOCUMENT: dict[str, Any] = json.loads(openapi.document())


def codes_of_problems() -> set[str]:
    """Every code that the collector can give a problem: those of the classes, and those given where one is raised."""
    found = set()
    for path in (ROOT / "collector").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and path.name == "problems.py":
                found |= {
                    each.value.value
                    for each in node.body
                    if isinstance(each, ast.Assign)
                    and isinstance(each.value, ast.Constant)
                    and any(getattr(target, "id", "") == "code" for target in each.targets)
                }
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error"):
                found |= {
                    each.value.value
                    for each in node.keywords
                    if each.arg == "code" and isinstance(each.value, ast.Constant)
                }
    return {str(code) for code in found} | {"internal"}


EVENT_CODES = {*get_args(faults.Code), *get_args(privacy.Drop)}


def test_every_code_is_in_the_document_and_no_other() -> None:
    listed = {code for codes in openapi.PROBLEMS.values() for code in codes}
    assert codes_of_problems() - EVENT_CODES == listed - EVENT_CODES


def test_every_code_is_on_the_page_and_no_other() -> None:
    codes = EVENT_CODES | {code for codes in openapi.PROBLEMS.values() for code in codes}
    assert sorted(code for code in codes if f"`{code}`" not in PAGE) == []
    rows = re.findall(r"^\| (\d{3}) \| ((?:`[a-z_]+`(?:, )?)+)", PAGE, re.MULTILINE)
    told = {(int(status), code) for status, names in rows for code in re.findall(r"`([a-z_]+)`", names)}
    said = {(status, code) for status, names in openapi.PROBLEMS.items() for code in names}
    assert said - told == set()
    assert {pair for pair in told - said if pair[1] not in EVENT_CODES} == set()
    section = PAGE.partition("### Codes of rejected events")[2].partition("##")[0]
    assert set(re.findall(r"^\| `([a-z_]+)`", section, re.MULTILINE)) == set(get_args(faults.Code))


def test_every_path_is_in_both(client: Client) -> None:
    cold = client.app._cold  # type: ignore[attr-defined]
    paths = {route.path for route in cold.routes if isinstance(route, Route)} | ingest.PATHS
    documented = set(DOCUMENT["paths"])
    assert {path for path in paths - documented if path + "/" not in documented} == {"/"}
    keys = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert sorted(path for path in documented if path not in PAGE and path.replace("{key_id}", "ID") not in keys) == []


def test_limits_are_those_of_the_code() -> None:
    settings, bounds = Settings(), Bounds()
    for said in (
        f"| one event | {settings.collector_max_event_bytes:,} bytes |",
        f"| body, before and after decompression | {settings.collector_max_body_bytes:,} bytes |",
        f"| events in a request | {settings.collector_max_batch_events:,} |",
        f"| wait for Kafka | {settings.collector_ack_timeout_ms // 1000} s |",
        f"| names in `properties` and in `context` | {MAX_PROPERTIES:,} |",
        f"an object each, up to {MAX_OBJECT_BYTES:,} bytes and {MAX_DEPTH} levels",
        f"| URL | {bounds.url_bytes:,} bytes |",
        f"| URL and headers | {bounds.head_bytes // 1024} KiB, {bounds.headers} headers, {bounds.head_s:g} s |",
        f"| the whole body | {bounds.body_s:g} s |",
        f"| taking in an answer | {bounds.write_s:g} s |",
        f"| unfinished bodies of a process together | {bounds.waiting_bytes >> 20} MiB |",
        f"| open connections of a process | {settings.collector_max_connections:,}",
        f"thrown away for {bounds.linger_s:g} seconds",
        f"kept for {bounds.idle_s:g} seconds",
    ):
        assert said in PAGE.replace("\n", " ").replace("  ", " "), said


def test_it_is_served(client: Client) -> None:
    reply = client.request("GET", openapi.PATH)
    assert reply is not None
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == DOCUMENT


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values())) if value else own
    return set().union(*map(references, value)) if isinstance(value, list) and value else set()


def test_its_references_lead_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in references(DOCUMENT)} <= set(schemas)


@pytest.mark.parametrize("body", [event(), [event(), event(typo=1), event(consent_state="denied")]])
def test_answers_have_the_documented_form(client: Client, body: Any) -> None:
    reply = client.request("POST", COLLECT, json.dumps(body).encode())
    assert reply is not None
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["Answer"]["required"]) <= set(reply.json) <= set(schemas["Answer"]["properties"])
    for verdict in reply.events:
        assert set(schemas["Verdict"]["required"]) <= set(verdict) <= set(schemas["Verdict"]["properties"])
    problem = client.request("POST", COLLECT, b"")
    assert problem is not None
    assert set(problem.json) <= set(schemas["Problem"]["properties"])
