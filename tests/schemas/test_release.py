"""From draft to release and to the end: order, refusals, what a crash in between leaves."""

from __future__ import annotations

import copy
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from core.errors import StateError, UsageError
from schemas import checks, files, lock
from schemas.checks import Problem, Report
from schemas.registry import Registry
from schemas.release import CheckFailedError, Deprecation, carry_out, deprecate, path_of, plan, with_lifecycle, write
from schemas.template import first_version, next_version

TODAY = dt.date(2026, 11, 21)
EVENT: dict[str, Any] = {
    "type": "record",
    "name": "Thing",
    "namespace": "sluice.events",
    "kind": "event",
    "doc": "Something happened.",
    "owner": "us",
    "fires": "When it happens.",
    "purpose": "To know.",
    "fields": [{"name": "a", "type": ["null", "int"], "default": None, "pii": "none", "doc": "A number."}],
    "examples": [{"a": 1}],
}


def real_check(folder: Path, subjects: frozenset[str]) -> Report:
    return checks.report(folder, subjects=subjects, today=TODAY)


def nothing_wrong(_folder: Path, _subjects: frozenset[str]) -> Report:
    return Report([], 1)


def draft(folder: Path, subject: str, version: int, **changed: Any) -> dict[str, Any]:
    source = copy.deepcopy(EVENT) | {"name": subject.capitalize()} | changed
    write(path_of(folder, subject, version), source)
    return source


def release(folder: Path, *subjects: str, check: Any = real_check) -> list[tuple[str, int, int]]:
    planned = plan(folder, subjects or None, today=TODAY, check=check)
    return [(each.subject, each.version, each.id) for each in carry_out(planned)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "avro").mkdir()
    return tmp_path


def field(name: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", "string"], "default": None, "pii": "none", "doc": "A text."}


# -- release


def test_a_release_gives_an_id_and_marks_the_file(folder: Path) -> None:
    source = draft(folder, "thing", 1, status="draft")
    assert release(folder, "thing") == [("thing", 1, 100)]
    schema = Registry(folder).get("thing", 1)
    assert (schema.id, schema.edited) == (100, False)
    assert (schema.source["status"], schema.source["since"]) == ("stable", "2026-11-21")
    assert lock.content(schema.source) == lock.content(source)


def test_ids_go_on_from_the_greatest(folder: Path) -> None:
    draft(folder, "thing", 1)
    draft(folder, "other", 1)
    assert release(folder) == [("other", 1, 100), ("thing", 1, 101)]
    draft(folder, "thing", 2, fields=[*EVENT["fields"], field("b")])
    assert release(folder, "thing") == [("thing", 2, 102)]


def test_what_it_returns_is_what_was_written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    draft(folder, "thing", 1)
    (released,) = carry_out(plan(folder, None, today=TODAY, check=real_check))
    plus = Registry(tmp_path_factory.mktemp("running")).plus([released])
    assert plus.get("thing", 1).source == Registry(folder).get("thing", 1).source
    assert plus.get("thing", 1).guid == Registry(folder).get("thing", 1).guid


def test_a_plan_writes_nothing(folder: Path) -> None:
    draft(folder, "thing", 1)
    before = path_of(folder, "thing", 1).read_text()
    planned = plan(folder, None, today=TODAY, check=real_check)
    assert [(each.subject, each.id) for each in planned.releases] == [("thing", 100)]
    assert path_of(folder, "thing", 1).read_text() == before
    assert not (folder / lock.FILE).exists()


def test_nothing_to_release_is_no_error_where_all_are_meant(folder: Path) -> None:
    assert release(folder) == []
    draft(folder, "thing", 1)
    release(folder)
    with pytest.raises(UsageError, match="thing has no draft"):
        release(folder, "thing")


def test_what_is_referred_to_is_released_first(folder: Path) -> None:
    draft(folder, "zone_context", 1, kind="context", namespace="sluice.contexts", name="Zone")
    reference = {"name": "sluice.contexts.Zone", "subject": "zone_context", "version": 1}
    zone = {"name": "zone", "type": ["null", "sluice.contexts.Zone"], "default": None, "pii": "none", "doc": "Where."}
    draft(folder, "arrival", 1, references=[reference], fields=[zone], examples=[{}])
    with pytest.raises(UsageError, match="needs zone_context:1, which is a draft") as refused:
        release(folder, "arrival")
    assert "zone_context arrival" in refused.value.hint
    assert release(folder) == [("zone_context", 1, 100), ("arrival", 1, 101)]
    assert Registry(folder).subjects() == ["arrival", "zone_context"]


def test_several_drafts_of_a_subject_are_released_in_their_order(folder: Path) -> None:
    for version in range(1, 12):
        draft(folder, "thing", version, doc=f"Version {version}.")
    assert release(folder, "thing", check=nothing_wrong) == [("thing", v, 99 + v) for v in range(1, 12)]


# -- refusals


def test_an_error_of_the_check_keeps_all_from_being_released(folder: Path) -> None:
    draft(folder, "thing", 1, owner="")
    draft(folder, "other", 1)
    with pytest.raises(CheckFailedError) as refused:
        release(folder)
    assert [problem.rule for problem in refused.value.problems] == ["owner_missing"]
    assert not (folder / lock.FILE).exists()


def test_a_breaking_change_is_refused(folder: Path) -> None:
    draft(folder, "thing", 1)
    release(folder)
    text = {"name": "a", "type": ["null", "string"], "default": None, "pii": "none", "doc": "A number."}
    draft(folder, "thing", 2, fields=[text], examples=[{"a": "1"}])
    with pytest.raises(CheckFailedError):
        release(folder)
    assert Registry(folder).versions("thing") == [1]


def test_warnings_are_passed_on(folder: Path) -> None:
    draft(folder, "thing", 1, examples=[])
    planned = plan(folder, None, today=TODAY, check=real_check)
    assert [problem.rule for problem in planned.warnings] == ["examples_missing"]


def test_the_check_is_asked_for_what_is_released(folder: Path) -> None:
    asked: list[frozenset[str]] = []

    def check(_folder: Path, subjects: frozenset[str]) -> Report:
        asked.append(subjects)
        problem = Problem("error", "r", "thing", 1, path_of(folder, "thing", 1), 1, "$", "no", "why", "instead")
        return Report([problem], 1)

    draft(folder, "thing", 1)
    draft(folder, "other", 1)
    with pytest.raises(CheckFailedError, match="1 error: nothing was released"):
        release(folder, "thing", check=check)
    assert asked == [frozenset({"thing"})]


def test_a_text_of_the_template_is_refused(folder: Path) -> None:
    write(path_of(folder, "thing", 1), first_version("thing", "event"))
    with pytest.raises(CheckFailedError) as refused:
        release(folder)
    lines = path_of(folder, "thing", 1).read_text().splitlines()
    found = [problem for problem in refused.value.problems if problem.rule == "placeholder"]
    assert len(found) == 7
    assert all("TODO" in lines[problem.line - 1] for problem in found)


def test_a_version_that_says_nothing_new_is_refused(folder: Path) -> None:
    draft(folder, "thing", 1)
    release(folder)
    write(path_of(folder, "thing", 2), next_version(Registry(folder).get("thing", 1).source))
    with pytest.raises(CheckFailedError) as refused:
        release(folder)
    assert [problem.message for problem in refused.value.problems] == ["thing:2 says the same as version 1"]


# -- crashes and races


def test_killed_between_files_and_lock_it_is_run_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft(folder, "thing", 1)
    draft(folder, "other", 1)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lock, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            release(folder)
    assert files.read(path_of(folder, "thing", 1))["status"] == "stable"
    assert Registry(folder).subjects() == []
    assert all(schema.draft for schema in Registry(folder, drafts=True).schemas())
    assert release(folder) == [("other", 1, 100), ("thing", 1, 101)]
    assert Registry(folder).subjects() == ["other", "thing"]


def test_a_file_that_was_edited_meanwhile_is_not_overwritten(folder: Path) -> None:
    draft(folder, "thing", 1)
    planned = plan(folder, None, today=TODAY, check=real_check)
    draft(folder, "thing", 1, doc="Edited.")
    with pytest.raises(StateError, match="changed while it was being released"):
        carry_out(planned)
    assert files.read(path_of(folder, "thing", 1))["doc"] == "Edited."


def test_a_release_that_overtook_another_keeps_its_ids(folder: Path) -> None:
    draft(folder, "thing", 1)
    planned = plan(folder, None, today=TODAY, check=real_check)
    draft(folder, "other", 1)
    release(folder, "other")
    with pytest.raises(StateError, match="changed while the release was planned"):
        carry_out(planned)
    assert lock.read(folder).keys() == {"other"}


# -- deprecation


@pytest.fixture
def two(folder: Path) -> Path:
    """Two versions of `thing`, one of `other`."""
    draft(folder, "thing", 1)
    draft(folder, "thing", 2, fields=[*EVENT["fields"], field("b")])
    draft(folder, "other", 1)
    release(folder)
    return folder


def test_an_event_is_deprecated_in_all_its_versions(two: Path) -> None:
    before = {schema.label: schema.guid for schema in Registry(two).schemas()}
    changed = deprecate(two, "thing", None, Deprecation(by="other", sunset=dt.date(2027, 3, 31)))
    assert [(each.subject, each.version) for each in changed] == [("thing", 1), ("thing", 2)]
    registry = Registry(two)
    assert {schema.label: schema.guid for schema in registry.schemas()} == before
    for version in (1, 2):
        source = registry.get("thing", version).source
        assert (source["status"], source["deprecatedBy"], source["sunset"]) == ("deprecated", "other", "2027-03-31")
        assert source["since"] == "2026-11-21"
    assert registry.get("other", 1).source["status"] == "stable"


def test_what_is_said_later_is_added(two: Path) -> None:
    deprecate(two, "thing", 1, Deprecation(superseded_by=2))
    deprecate(two, "thing", 1, Deprecation(by="other"))
    source = Registry(two).get("thing", 1).source
    assert (source["supersededBy"], source["deprecatedBy"]) == (2, "other")
    assert Registry(two).get("thing", 2).source["status"] == "stable"


@pytest.mark.parametrize(
    ("version", "deprecation"),
    [
        (None, Deprecation()),
        (7, Deprecation(by="other")),
        (1, Deprecation(by="thing")),
        (1, Deprecation(by="nobody")),
        (None, Deprecation(superseded_by=2)),
        (1, Deprecation(superseded_by=1)),
        (1, Deprecation(superseded_by=3)),
    ],
    ids=["nothing", "no version", "by itself", "by nobody", "all", "same", "not there"],
)
def test_a_deprecation_that_does_not_fit_is_refused(version: int | None, deprecation: Deprecation, two: Path) -> None:
    before = {path: path.read_bytes() for path in two.rglob("*.avsc")}
    with pytest.raises(UsageError):
        deprecate(two, "thing", version, deprecation)
    assert {path: path.read_bytes() for path in two.rglob("*.avsc")} == before


def test_versions_do_not_judge_for_each_other_in_a_circle(two: Path) -> None:
    deprecate(two, "thing", 1, Deprecation(superseded_by=2))
    with pytest.raises(UsageError):
        deprecate(two, "thing", 2, Deprecation(superseded_by=1))


# -- templates


@pytest.mark.parametrize(("subject", "kind"), [("trial_started", "event"), ("store_context", "context")])
def test_a_template_once_written_passes_the_check(subject: str, kind: Any, folder: Path) -> None:
    source = first_version(subject, kind)
    written = {
        key: f"Said of {key}." if "TODO" in str(value) and key != "fields" else value for key, value in source.items()
    }
    written["fields"] = [each | {"doc": "A field."} for each in source["fields"]]
    write(path_of(folder, subject, 1), written)
    planned = plan(folder, None, today=TODAY, check=real_check)
    assert planned.warnings == []
    assert [(each.subject, each.version) for each in carry_out(planned)] == [(subject, 1)]


def test_the_next_version_says_what_the_last_one_said(two: Path) -> None:
    deprecate(two, "thing", 2, Deprecation(by="other"))
    last = Registry(two).get("thing", 2).source
    source = next_version(last)
    assert source["status"] == "draft"
    assert not {"since", "deprecatedBy", "sunset", "supersededBy"} & source.keys()
    assert lock.fingerprint(source) == lock.fingerprint(last)


def test_lifecycle_stands_behind_the_names() -> None:
    turned = with_lifecycle({"doc": "D.", "since": "2026-01-01", "name": "T", "type": "record"}, {"status": "stable"})
    assert list(turned) == ["type", "name", "status", "since", "doc"]
