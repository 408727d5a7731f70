"""list, show and sample: what is there, in words and as JSON."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from core.errors import ConfigError, UsageError
from schemas.codegen.compiled import compile_record
from schemas.registry import bundled
from schemas.release import path_of
from tests.schemas_cli.conftest import Sluice

SUBJECTS = bundled().subjects()
EVENTS = bundled().subjects("event")


# -- list


def test_a_list_has_a_line_for_each(sluice: Sluice) -> None:
    lines = sluice("list").output.splitlines()
    assert lines[0].split() == ["Subject", "Kind", "Version", "Status", "Owner", "Fields", "Since", "Sunset"]
    assert sorted(line.split()[0] for line in lines[1:]) == SUBJECTS
    assert all(line == line.rstrip() for line in lines)


def test_a_list_may_be_of_one_kind(sluice: Sluice) -> None:
    lines = sluice("list", "--kind", "event").output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == EVENTS


def test_a_list_as_json(sluice: Sluice) -> None:
    found = {each["subject"]: each for each in json.loads(sluice("list", "--json").output)}
    assert sorted(found) == SUBJECTS
    assert found["event"] | {"doc": ""} == {
        "subject": "event",
        "kind": "record",
        "version": 4,
        "versions": [1, 2, 3, 4],
        "id": 22,
        "status": "stable",
        "owner": None,
        "doc": "",
        "fields": 39,
        "since": None,
        "sunset": None,
        "deprecated_by": None,
    }


def test_drafts_are_listed_for_those_who_ask(sluice: Sluice, own: Path) -> None:
    sluice("new", "trial_started")
    assert "trial_started" not in sluice("list").output
    (line,) = [line for line in sluice("list", "--drafts").output.splitlines() if "trial_started" in line]
    assert "draft" in line
    drafts = [each for each in json.loads(sluice("list", "--drafts", "--json").output) if each["status"] == "draft"]
    assert [(each["subject"], each["id"]) for each in drafts] == [("trial_started", None)]


# -- show


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_page_tells_everything(subject: str, sluice: Sluice) -> None:
    schema = bundled().latest(subject)
    page = " ".join(sluice("show", subject).output.split())
    told = [schema.label, f"id {schema.id}", str(schema.source.get("owner", "")), schema.source["doc"][:60]]
    told += [str(field["name"]) for field in schema.source["fields"]]
    assert [each for each in told if each not in page] == []


def test_a_page_as_json(sluice: Sluice) -> None:
    page = json.loads(sluice("show", "order_completed:1", "--json").output)
    fields = {field["path"]: field for field in page["fields"]}
    assert (page["subject"], page["version"], page["id"], page["versions"]) == ("order_completed", 1, 112, [1])
    assert page["examples"] == bundled().get("order_completed", 1).source["examples"]
    assert fields["items[].quantity"]["required"] is True
    assert fields["items[].quantity"]["unit"] == "pieces"
    assert fields["campaign.click_id"]["pii"] == "pseudonymous"
    assert "EUR" in fields["currency"]["allowed"]


def test_the_file_the_code_and_the_view(sluice: Sluice) -> None:
    schema = bundled().get("order_completed", 1)
    assert sluice("show", "order_completed", "--avro").output == schema.path.read_text()
    code = sluice("show", "order_completed", "--code").output
    assert code.strip() == compile_record(schema.resolved).source.strip()
    ast.parse(code)
    sql = sluice("show", "order_completed", "--sql").output
    assert sql.startswith("CREATE OR REPLACE VIEW `v_order_completed`")
    assert sql.rstrip().endswith(";")


def test_a_version_has_a_page_of_its_own(sluice: Sluice) -> None:
    assert sluice("show", "event:1").output.startswith("event:1")
    assert sluice("show", "event").output.startswith("event:4")


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (("show", "page_viw"), "no schema of 'page_viw'", "page_view"),
        (("show", "zzz"), "no schema of 'zzz'", "schemas list"),
        (("show", "event:7"), "event has no version 7", "1, 2, 3"),
        (("show", "event:x"), "'event:x' is no SUBJECT:VERSION", "page_view:1"),
        (("show", "event:0"), "'event:0' is no SUBJECT:VERSION", "page_view:1"),
        (("show", "event", "--sql"), "event is no event", ""),
        (("show", "search", "--sql", "--json"), "exclude each other", ""),
        (("sample", "serch"), "no schema of 'serch'", "search"),
    ],
)
def test_what_is_not_there_is_told(arguments: tuple[str, ...], says: str, hint: str, sluice: Sluice) -> None:
    with pytest.raises(UsageError) as refused:
        sluice(*arguments)
    assert says in refused.value.message
    assert hint in refused.value.hint


def test_a_folder_without_schemas_is_told(sluice: Sluice, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no schema folder"):
        sluice("list", "--folder", str(tmp_path))


# -- sample


def test_samples_are_json_lines(sluice: Sluice) -> None:
    lines = sluice("sample", "search", "--count", "7", "--seed", "3").output.splitlines()
    assert len(lines) == 7
    assert lines == sluice("sample", "search:1", "--count", "7", "--seed", "3").output.splitlines()
    assert lines != sluice("sample", "search", "--count", "7").output.splitlines()
    explain = compile_record(bundled().get("search", 1).resolved).explain
    assert [explain(line.encode()) for line in lines] == [[]] * 7


def test_samples_as_json_say_what_they_are(sluice: Sluice) -> None:
    (sample,) = map(json.loads, sluice("sample", "search", "--count", "1", "--json").output.splitlines())
    assert (sample["event"], sample["version"], sample["valid"]) == ("search", 1, True)
    assert "query" in sample["properties"]


def test_near_misses_say_what_they_break(sluice: Sluice) -> None:
    lines = sluice("sample", "search", "--near-miss", "--json").output.splitlines()
    explain = compile_record(bundled().get("search", 1).resolved).explain
    for miss in map(json.loads, lines):
        (fault,) = explain(json.dumps(miss["properties"]).encode())
        assert (fault.code, fault.path, False) == (miss["code"], miss["path"], miss["valid"])
    text = sluice("sample", "search", "--near-miss").output.splitlines()
    assert len(text) == 2 * len(lines)
    assert "missing_field $.query is missing" in text


def test_a_draft_can_be_tried_out(sluice: Sluice, own: Path) -> None:
    sluice("new", "trial_started")
    assert path_of(own, "trial_started", 1).exists()
    assert len(sluice("sample", "trial_started").output.splitlines()) == 3
