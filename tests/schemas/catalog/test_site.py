"""The site of the bundled contracts: whole, well-formed, and the same each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from schemas.catalog import build
from schemas.catalog.fields import rows
from schemas.catalog.snippets import OPEN_SUBJECT, OWN_TYPES
from schemas.compatibility.types import parse_record
from schemas.registry import Registry, Schema, bundled
from tests.schemas.catalog.pages import Page, dead_links, read

SUBJECTS = [bundled().latest(name) for kind in ("event", "context") for name in bundled().subjects(kind)]
EACH = pytest.mark.parametrize("schema", SUBJECTS, ids=lambda schema: schema.subject)


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    return build(bundled())


@pytest.fixture(scope="module")
def pages(site: dict[str, str]) -> dict[str, Page]:
    return {path: read(text) for path, text in site.items() if path.endswith(".html")}


def page_of(schema: Schema, pages: dict[str, Page]) -> Page:
    return pages[f"{schema.kind}s/{schema.subject}.html"]


def test_pages_are_well_formed(pages: dict[str, Page]) -> None:
    assert {path: page.faults for path, page in pages.items() if page.faults} == {}


def test_no_link_is_dead_or_leads_out(site: dict[str, str]) -> None:
    assert dead_links(site) == []


def test_nothing_is_fetched_from_elsewhere(site: dict[str, str]) -> None:
    assert re.findall(r"@import|url\(|//", site["assets/catalog.css"]) == []
    assert re.findall(r"import\(|fetch\(|XMLHttp|https?:", site["assets/catalog.js"]) == []


def test_pages_are_made_for_people_of_all_kinds(pages: dict[str, Page]) -> None:
    for path, page in pages.items():
        assert page.all("html")[0].attributes["lang"] == "en", path
        assert page.all("title")[0].text, path
        assert len(page.all("h1")) == 1, path
        assert len(page.all("main")) == 1, path
        skip = page.all("a")[0]
        assert skip.attributes["href"] == "#main", path
        levels = [int(element.tag[1]) for element in page.elements if re.fullmatch("h[1-6]", element.tag)]
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), path
        for table in page.all("table"):
            assert any(child.tag == "caption" and child.text for child in table.children), path
        for header in page.all("th"):
            assert header.attributes.get("scope") in {"row", "col"}, path
        for field in page.all("input"):
            labels = [label for label in page.all("label") if label.attributes["for"] == field.attributes["id"]]
            assert labels, path


@EACH
def test_every_subject_is_on_the_index_and_has_a_page(schema: Schema, pages: dict[str, Page]) -> None:
    row = pages["index.html"].by_id(f"{schema.kind}-{schema.subject}")
    assert schema.subject in row.text
    assert schema.source["owner"] in row.text
    assert page_of(schema, pages).all("h1")[0].text == schema.subject


@EACH
def test_every_field_is_told(schema: Schema, pages: dict[str, Page]) -> None:
    page = page_of(schema, pages)
    for row in rows(parse_record(schema.resolved), {}):
        if row.depth:
            continue  # what is below a context is on the context's page
        told = page.by_id(f"field-{row.path}").text
        assert row.doc.replace("`", "") in told
        assert ("required" if row.required else "optional") in told
        assert row.pii in told
        assert row.unit in told
        for value in row.allowed:
            assert value in told


@EACH
def test_a_page_says_what_the_plan_says(schema: Schema, pages: dict[str, Page]) -> None:
    text = page_of(schema, pages).text
    for attribute in ("doc", "purpose", "owner", "fires", "since"):
        assert schema.source.get(attribute, "").replace("`", "") in text
    for metric in schema.source["metrics"]:
        assert metric in text
        assert schema.subject in pages["metrics.html"].by_id(f"metric-{metric}").text
    assert str(schema.guid) in text


@EACH
def test_examples_are_there_whole(schema: Schema, pages: dict[str, Page]) -> None:
    shown = [e.text for e in page_of(schema, pages).all("pre") if e.attributes["aria-label"].startswith("Example")]
    assert [json.loads(text) for text in shown] == schema.source["examples"]


@EACH
def test_what_is_private_is_on_the_page_for_it(schema: Schema, pages: dict[str, Page]) -> None:
    page = pages["privacy.html"]
    for field in schema.source["fields"]:
        if "sluice.contexts." in json.dumps(field["type"]):
            continue  # classed on the context's own page
        section = page.by_id(f"class-{field['pii']}").text
        assert field["name"] in section
        assert schema.subject in section


def test_contexts_say_who_uses_them(pages: dict[str, Page]) -> None:
    for schema in SUBJECTS:
        for reference in schema.source.get("references", ()):
            used = bundled().latest(reference["subject"])
            assert schema.subject in page_of(used, pages).by_id("about").text
            assert reference["subject"] in page_of(schema, pages).by_id("about").text


def test_the_search_finds_names_fields_owners_and_metrics(site: dict[str, str]) -> None:
    index = json.loads(read(site["index.html"]).by_id("search-index").text)
    for schema in SUBJECTS:
        entry = index[f"{schema.kind}-{schema.subject}"]
        assert entry[0] == ["name", schema.subject]
        assert ["owner", schema.source["owner"]] in entry
        assert [["metric", metric] for metric in schema.source["metrics"]] == [e for e in entry if e[0] == "metric"]
        words = " ".join(text for kind, text in entry if kind == "field")
        assert all(field["name"] in words for field in schema.source["fields"])


def test_the_same_contracts_give_the_same_site(site: dict[str, str]) -> None:
    assert build(bundled()) == site
    # In another process too, where sets have another order.
    code = (
        "import hashlib, json; from schemas.catalog import build; from schemas.registry import bundled; "
        "print(hashlib.sha256(json.dumps(build(bundled())).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout


def test_an_event_type_of_its_own_is_one_that_clients_may_send() -> None:
    registry: Registry = bundled()
    fields = registry.latest("tracked_event").source["fields"]
    (event_type,) = (field["type"] for field in fields if field["name"] == "event_type")
    assert set(event_type["symbols"]) == {*OWN_TYPES, OPEN_SUBJECT}
