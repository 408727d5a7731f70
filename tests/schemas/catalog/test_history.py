"""What a page tells of a subject's life: versions, deprecation, drafts, fields that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.catalog import build
from schemas.registry import registry_at
from tests.schemas.catalog.contracts import context, event, field, registry, write
from tests.schemas.catalog.pages import dead_links, read

OPTIONAL = {"default": None}
FIRST = event("Order", field("id"), field("note", ["null", "string"], pii="personal", **OPTIONAL))
WIDER = event("Order", field("id"), field("note", ["null", "string"], pii="personal", **OPTIONAL),
              field("currency", ["null", "string"], **OPTIONAL), since="2026-02-01")  # fmt: skip
BROKEN = event("Order", field("id"), field("total", "double"), since="2026-03-01")


def test_versions_newest_first_with_what_they_changed(tmp_path: Path) -> None:
    page = read(build(registry(tmp_path, {"order": [FIRST, WIDER]}))["events/order.html"])
    history = page.by_id("history").text
    assert history.index("Version 2") < history.index("Version 1")
    second, first = page.by_id("version-2").text, page.by_id("version-1").text
    assert "compatible with version 1" in second
    assert "field currency added: optional text, default null" in second
    assert "breaking" not in second
    assert "2026-02-01" in second
    assert "The first version." in first


def test_a_breaking_version_says_what_breaks(tmp_path: Path) -> None:
    second = read(build(registry(tmp_path, {"order": [FIRST, BROKEN]}))["events/order.html"]).by_id("version-2").text
    assert "breaking" in second
    assert "compatible with" not in second
    assert "field total added" in second
    assert "has no default" in second


def test_a_superseded_version_is_named_and_no_measure_for_later_ones(tmp_path: Path) -> None:
    broken = BROKEN | {"supersededBy": 3}
    page = read(build(registry(tmp_path, {"order": [FIRST, broken, WIDER]}))["events/order.html"])
    assert "judged by version 3" in page.by_id("version-2").text
    third = page.by_id("version-3").text
    assert "compatible with version 1" in third
    assert "field currency added" in third
    assert "total" not in page.by_id("version-3").children[2].text


def test_a_transitive_mode_looks_behind_the_previous_version(tmp_path: Path) -> None:
    steps = [FIRST, event("Order", field("id")), event("Order", field("id"), field("note", "int", default=0))]
    transitive = read(build(registry(tmp_path / "a", {"order": steps}))["events/order.html"]).by_id("version-3").text
    assert "breaking for version 2 or one before" in transitive
    assert "cannot read data of version 1" in transitive
    steps[2] |= {"compatibility": "FULL"}
    direct = read(build(registry(tmp_path / "b", {"order": steps}))["events/order.html"]).by_id("version-3").text
    assert "compatible with version 2 (FULL)" in direct


def test_a_mode_that_promises_nothing_says_so(tmp_path: Path) -> None:
    second = BROKEN | {"compatibility": "NONE"}
    page = read(build(registry(tmp_path, {"order": [FIRST, second]}))["events/order.html"])
    assert "promises no compatibility" in page.by_id("version-2").text


def test_a_deprecated_event_shows_its_last_day_and_successor(tmp_path: Path) -> None:
    old = FIRST | {"status": "deprecated", "deprecatedBy": "order_placed", "sunset": "2027-01-31"}
    subjects = {"order": [old], "order_placed": [event("OrderPlaced")]}
    site = build(registry(tmp_path, subjects))
    page = read(site["events/order.html"])
    (notice,) = (element for element in page.all("p") if element.attributes.get("class") == "notice")
    assert " ".join(notice.text.split()) == "Deprecated. Its last day is 2027-01-31. Use order_placed instead."
    assert "order_placed.html" in [e.attributes["href"].rpartition("/")[2] for e in page.all("a")]
    assert "deprecated" in read(site["index.html"]).by_id("event-order").text
    assert dead_links(site) == []


def test_a_successor_that_is_not_there_is_no_link(tmp_path: Path) -> None:
    old = FIRST | {"status": "deprecated", "deprecatedBy": "order_placed"}
    assert dead_links(build(registry(tmp_path, {"order": [old]}))) == []


def test_drafts_are_shown_to_who_asks_only(tmp_path: Path) -> None:
    write(tmp_path, {"order": [FIRST]}, released=False)
    assert "events/order.html" not in build(registry_at(tmp_path))
    page = read(build(registry_at(tmp_path, drafts=True))["events/order.html"])
    assert "Version 1 is a draft" in page.text
    assert "Not released." in page.by_id("version-1").text


def test_an_edited_release_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, {"order": [FIRST]})
    write(tmp_path / "other", {"order": [WIDER]})
    (folder / "avro/order/1.avsc").write_text((tmp_path / "other/avro/order/1.avsc").read_text())
    assert "edited after its release" in read(build(registry_at(folder, drafts=True))["events/order.html"]).text


def test_personal_fields_of_old_versions_stay_on_the_page_for_them(tmp_path: Path) -> None:
    site = build(registry(tmp_path, {"order": [FIRST, BROKEN]}))
    assert "note" in read(site["privacy.html"]).by_id("class-personal").text
    assert "up to version 1" in read(site["privacy.html"]).by_id("class-personal").text
    assert "field-note" not in read(site["events/order.html"]).ids


@pytest.mark.parametrize(
    ("inner", "shown"),
    [("none", "none"), ("personal", "personal"), ("sensitive", "sensitive"), ("made up", "not classified")],
)
def test_the_index_shows_the_most_guarded_class(tmp_path: Path, inner: str, shown: str) -> None:
    who = context("Who", field("mail", pii=inner))
    reference = [{"name": "sluice.contexts.Who", "subject": "who_context", "version": 1}]
    holder = event("Order", field("who", "sluice.contexts.Who", pii=inner), references=reference)
    site = build(registry(tmp_path, {"who_context": [who], "order": [holder]}))
    assert shown in read(site["index.html"]).by_id("event-order").text
    assert "order" in read(site["contexts/who_context.html"]).by_id("about").text


def test_a_folder_without_contracts_has_a_site(tmp_path: Path) -> None:
    (tmp_path / "avro").mkdir()
    site = build(registry_at(tmp_path))
    assert dead_links(site) == []
    assert "0 events and 0 contexts" in read(site["index.html"]).text


def test_a_type_without_json_form_leaves_out_the_view(tmp_path: Path) -> None:
    odd = event("Order", field("at", {"type": "long", "logicalType": "time-micros"}))
    page = read(build(registry(tmp_path, {"order": [odd]}))["events/order.html"])
    assert "No view can be made of it" in page.by_id("query").text
