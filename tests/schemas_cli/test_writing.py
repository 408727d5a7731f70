"""init, new, release and deprecate: what they write, what they say, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import ExitCode, UsageError
from schemas import files, lock
from schemas.registry import BUNDLED, Registry, bundled, registry_at
from schemas.release import path_of, write
from tests.schemas_cli.conftest import Sluice


def write_out(folder: Path, subject: str) -> None:
    """Fill in the template, as a person does."""
    path = path_of(folder, subject, 1)
    source = files.read(path)
    source |= dict.fromkeys(("doc", "owner", "fires", "purpose"), "Written.")
    source["fields"] = [field | {"doc": "Written."} for field in source["fields"]]
    write(path, source)


# -- init


def test_a_folder_of_ones_own_is_the_starter_plan(sluice: Sluice, tmp_path: Path) -> None:
    result = sluice("init", "deep/own")
    folder = tmp_path / "deep/own"
    plan = [schema for schema in bundled().schemas() if schema.kind != "record"]
    assert {(s.label, s.id, s.guid) for s in Registry(folder).schemas()} == {(s.label, s.id, s.guid) for s in plan}
    assert [s.label for s in registry_at(folder).schemas()] == [s.label for s in bundled().schemas()]
    assert all(
        path.read_bytes() == (BUNDLED / path.relative_to(folder)).read_bytes() for path in folder.rglob("*.avsc")
    )
    assert "export SLUICE_SCHEMAS_DIR=deep/own" in result.output


def test_a_folder_with_contracts_is_left_alone(sluice: Sluice, own: Path) -> None:
    with pytest.raises(UsageError, match="has contracts in it already"):
        sluice("init", "own")


def test_an_interrupted_copy_has_no_released_version(
    sluice: Sluice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lock, "write", killed)
    sluice("init", "own")
    assert Registry(tmp_path / "own").schemas() == []


# -- new


def test_a_new_event_is_a_draft(sluice: Sluice, own: Path) -> None:
    output = sluice("new", "trial_started").output
    assert "own/avro/trial_started/1.avsc: draft of trial_started:1" in output
    assert "sluice schemas release trial_started" in output
    schema = Registry(own, drafts=True).get("trial_started", 1)
    assert (schema.draft, schema.kind, schema.source["name"]) == (True, "event", "TrialStarted")


def test_a_new_context_is_one(sluice: Sluice, own: Path) -> None:
    sluice("new", "store_context")
    schema = Registry(own, drafts=True).get("store_context", 1)
    assert (schema.kind, schema.source["name"], schema.source["namespace"]) == ("context", "Store", "sluice.contexts")


def test_the_next_version_is_copied_from_the_newest(sluice: Sluice, own: Path) -> None:
    output = sluice("new", "search").output
    assert "draft of search:2" in output
    registry = Registry(own, drafts=True)
    assert registry.get("search", 2).guid == registry.get("search", 1).guid
    with pytest.raises(UsageError, match="search:2 is a draft already"):
        sluice("new", "search")


@pytest.mark.parametrize("subject", ["Trial", "trial-started", "trial started", "_trial", "../trial", "1st", ""])
def test_a_name_that_is_none_is_refused(subject: str, sluice: Sluice, own: Path) -> None:
    with pytest.raises(UsageError, match="is no name for an event"):
        sluice("new", subject)


def test_records_of_the_release_are_left_alone(sluice: Sluice, own: Path) -> None:
    with pytest.raises(UsageError, match="record of Sluice itself"):
        sluice("new", "dead_letter")


@pytest.mark.parametrize("arguments", [("new", "x"), ("release", "--all"), ("deprecate", "search", "--by", "log_in")])
def test_the_starter_plan_changes_for_those_only_who_name_it(arguments: tuple[str, ...], sluice: Sluice) -> None:
    with pytest.raises(UsageError, match="belongs to Sluice") as refused:
        sluice(*arguments)
    assert "sluice schemas init" in refused.value.hint


# -- release


def test_a_release_tells_the_id(sluice: Sluice, own: Path) -> None:
    sluice("new", "trial_started")
    write_out(own, "trial_started")
    result = sluice("release", "trial_started", "--dry-run")
    assert "trial_started:1 would be released with id 117" in result.output
    assert "trial_started" not in Registry(own).subjects()
    result = sluice("release", "trial_started")
    assert "trial_started:1 is released with id 117" in result.output
    assert Registry(own).get("trial_started", 1).id == 117
    assert "trial_started" in [each["subject"] for each in json.loads(sluice("list", "--json").output)]


def test_an_error_is_told_with_its_place(sluice: Sluice, own: Path) -> None:
    sluice("new", "trial_started")
    result = sluice("release", "trial_started")
    assert result.exit_code == ExitCode.DIFFERENCE
    assert "own/avro/trial_started/1.avsc:7: error: `doc` still says TODO" in result.output
    assert result.output.endswith("7 errors: nothing was released\n")
    assert "trial_started" not in Registry(own).subjects()


def test_nothing_to_release(sluice: Sluice, own: Path) -> None:
    assert sluice("release", "--all").output == "no draft to release\n"
    with pytest.raises(UsageError, match="search has no draft"):
        sluice("release", "search")
    with pytest.raises(UsageError, match="name subjects, or --all"):
        sluice("release")
    with pytest.raises(UsageError, match="name subjects, or --all"):
        sluice("release", "search", "--all")
    with pytest.raises(UsageError, match="no schema of 'serch'"):
        sluice("release", "serch")


# -- deprecate


def test_a_deprecation_is_listed(sluice: Sluice, own: Path) -> None:
    result = sluice("deprecate", "search", "--by", "log_in", "--sunset", "2027-03-31")
    assert "search:1 is deprecated" in result.output
    assert "own/avro/search/1.avsc" in result.output
    (line,) = [line for line in sluice("list").output.splitlines() if line.startswith("search ")]
    assert line.split()[3] == "deprecated"
    assert line.split()[-1] == "2027-03-31"
    page = json.loads(sluice("show", "search", "--json").output)
    assert (page["status"], page["deprecated_by"], page["sunset"]) == ("deprecated", "log_in", "2027-03-31")


@pytest.mark.parametrize(
    "arguments",
    [("search", "--sunset", "soon"), ("search", "--superseded-by", "0"), ("search:1", "--superseded-by", "x")],
)
def test_a_day_or_version_that_is_none_is_refused(arguments: tuple[str, ...], sluice: Sluice, own: Path) -> None:
    result = sluice("deprecate", *arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.output
