"""`sluice schemas check` and `diff` on folders: what they print, what they end with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import cli
from core.errors import ConfigError, ExitCode, UsageError
from schemas import checks, files, lock
from schemas.registry import BUNDLED

TEXT = ["null", "string"]


def field(name: str, type_: Any = None, **attributes: Any) -> dict[str, Any]:
    whole = {"name": name, "type": type_ or TEXT, "default": None, "pii": "none", "doc": f"The {name}."}
    return {key: value for key, value in (whole | attributes).items() if value is not ...}


def event(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    whole = {
        "type": "record",
        "name": "OrderPlaced",
        "namespace": "sluice.events",
        "kind": "event",
        "doc": "An order was placed.",
        "owner": "shop",
        "fires": "When the order is confirmed.",
        "purpose": "Revenue.",
        "fields": list(fields or [field("coupon")]),
        "examples": [{}],
    }
    return {key: value for key, value in (whole | attributes).items() if value is not ...}


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "avro").mkdir()

    def write(self, source: dict[str, Any], version: int = 1, *, subject: str = "order_placed") -> Path:
        path = self.path / "avro" / subject / f"{version}.avsc"
        path.parent.mkdir(exist_ok=True)
        path.write_text(files.dump(source), encoding="utf-8")
        return path

    def release(self, source: dict[str, Any], version: int = 1, *, subject: str = "order_placed") -> Path:
        path = self.write(source, version, subject=subject)
        found = lock.read(self.path)
        found.setdefault(subject, {})[version] = lock.entry(source, lock.next_id(found))
        lock.write(self.path, found)
        return path

    def run(self, *arguments: str, command: str = "check") -> Result:
        return CliRunner().invoke(cli, ["schemas", command, *arguments, "--folder", str(self.path)])

    def problems(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("--json", *arguments).output)["problems"]
        return found

    def rules(self, *arguments: str) -> list[tuple[str, int, str]]:
        return [(each["rule"], each["line"], each["path"]) for each in self.problems(*arguments)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def test_a_clean_folder(folder: Folder) -> None:
    folder.release(event())
    folder.write(event(field("coupon"), field("city")), 2)
    result = folder.run("--strict")
    assert (result.exit_code, result.output) == (ExitCode.OK, "2 versions checked: nothing is wrong\n")


def test_an_empty_folder(folder: Folder) -> None:
    assert folder.run().output == "0 versions checked: nothing is wrong\n"


def test_the_starter_plan_is_clean() -> None:
    result = CliRunner().invoke(cli, ["schemas", "check", "--strict", "--folder", str(BUNDLED)])
    assert result.exit_code == ExitCode.OK, result.output


def test_a_breaking_change(folder: Folder) -> None:
    folder.release(event(field("coupon"), field("count", "int", default=0)))
    folder.write(event(field("coupon"), field("count", "string", default="")), 2)
    result = folder.run()
    assert result.exit_code == ExitCode.DIFFERENCE
    first, why, instead = result.output.splitlines()[:3]
    assert first.startswith("avro/order_placed/2.avsc:12: error: `count`: the writer writes int, ")
    assert first.endswith("(this version cannot read data of version 1) [type_mismatch]")
    assert why == "    Events of version 1 are stored and still sent; nothing built for this one reads them."
    assert instead == "    → Keep the type, and add a field with another name beside it."
    assert result.output.splitlines()[-1] == "2 versions checked: 2 errors, 0 warnings"
    assert "\x1b" not in result.output


def test_a_terminal_sees_colours(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(event(owner=...))
    arguments = ["schemas", "check", "--folder", str(folder.path)]
    assert "\x1b[31merror\x1b[0m" in CliRunner().invoke(cli, arguments, color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(cli, arguments, color=True).output


def test_warnings_fail_only_if_asked_to(folder: Folder) -> None:
    folder.write(event(field("coupon"), field("count", "int", default=...), examples=[{"count": 1}]))
    assert folder.rules() == [("required_at_first", 12, "$.count")]
    assert folder.run().exit_code == ExitCode.OK
    assert folder.run("--strict").exit_code == ExitCode.DIFFERENCE
    assert folder.run().output.splitlines()[-1] == "1 version checked: 0 errors, 1 warning"


def test_the_mode_of_the_candidate_counts(folder: Folder) -> None:
    folder.release(event())
    changed = event(field("coupon"), field("count", "int", default=...), examples=[{"count": 1}])
    folder.write(changed, 2)
    assert folder.rules() == [("reader_field_missing_default_value", 12, "$.count")]
    folder.write(changed | {"compatibility": "FORWARD"}, 2)
    assert folder.rules() == []
    folder.write(changed | {"compatibility": "SIDEWARD"}, 2)
    assert [rule for rule, *_ in folder.rules()] == ["reader_field_missing_default_value", "attribute_invalid"]


def test_every_earlier_version_counts(folder: Folder) -> None:
    folder.release(event(field("a", "int", default=...), examples=[{"a": 1}]))
    folder.release(event(field("a", "int", default=0), field("b")), 2)
    folder.write(event(field("b"), compatibility="FULL"), 3)
    assert folder.rules() == [("field_removed", 1, "$.a")]
    folder.write(event(field("b")), 3)
    assert folder.rules() == [("reader_field_missing_default_value", 1, "$.a")], "said once, by the graver rule"


def test_a_superseded_version_counts_no_more(folder: Folder) -> None:
    folder.release(event(field("a", "int", default=0)))
    folder.release(event(field("a", "string", default="")), 2)
    folder.write(event(field("a", "int", default=0)), 3)
    assert {rule for rule, *_ in folder.rules()} == {"type_mismatch"}
    folder.write(event(field("a", "string", default=""), supersededBy=3), 2)
    assert folder.rules() == []


def test_an_edited_release(folder: Folder) -> None:
    folder.release(event())
    path = folder.write(event(doc="Another thing."))
    (problem,) = folder.problems()
    assert (problem["rule"], problem["severity"]) == ("released_edited", "error")
    assert problem["file"] == "avro/order_placed/1.avsc"
    assert "order_placed:1 was edited after its release" in problem["message"]
    assert "add a new version" in problem["instead"]
    assert folder.run().exit_code == ExitCode.DIFFERENCE
    path.write_text(files.dump(event(status="deprecated", sunset="2099-01-01")))
    assert folder.rules() == [], "the lifecycle may change"


def test_an_edited_release_is_told_when_it_is_not_the_newest(folder: Folder) -> None:
    folder.release(event())
    folder.release(event(field("coupon"), field("city")), 2)
    folder.write(event(doc="Another thing.", owner=...))
    assert folder.rules() == [("released_edited", 1, "$")]


def test_of_older_releases_the_lifecycle_is_judged(folder: Folder) -> None:
    folder.release(event(owner=..., status="deprecated", sunset="2020-01-01"))
    folder.release(event(), 2)
    assert folder.rules() == [("sunset_passed", 1, "$")]


def test_every_draft_is_judged(folder: Folder) -> None:
    folder.write(event(owner=...))
    folder.write(event(), 2)
    assert folder.rules() == [("owner_missing", 1, "$")]


def test_advice_comes_before_the_release(folder: Folder) -> None:
    schema = event(field("url", "string", default=...), examples=[{"url": "/"}])
    folder.write(schema)
    assert {rule for rule, *_ in folder.rules()} == {"required_at_first", "column_clash"}
    folder.release(schema)
    assert folder.rules() == []


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([{"count": "many"}], "example 1 breaks the contract: $.count"),
        ([{}, {"other": 1}], "example 2 breaks the contract: $.other: not declared"),
        ([{"count": 1000}], "example 1 breaks the contract: $.count"),
    ],
    ids=str,
)
def test_examples_are_judged_by_the_validator(folder: Folder, examples: list[Any], said: str) -> None:
    folder.write(event(field("count", ["null", "int"], maximum=9), examples=examples))
    (problem,) = folder.problems()
    assert problem["rule"] == "example_invalid"
    assert problem["message"].startswith(said)


def test_an_open_contract_has_examples_of_anything(folder: Folder) -> None:
    folder.write(event(unknown="open", examples=[{"anything": 1}]))
    assert folder.rules() == []


def test_a_referenced_type_that_changes(folder: Folder) -> None:
    def campaign(*fields: dict[str, Any]) -> dict[str, Any]:
        return event(*fields, name="Campaign", namespace="sluice.contexts", kind="context", fires=...)

    def order(version: int) -> dict[str, Any]:
        references = [{"name": "sluice.contexts.Campaign", "subject": "campaign_context", "version": version}]
        return event(field("campaign", ["null", "sluice.contexts.Campaign"]), references=references)

    folder.release(campaign(field("name", "int", default=0)), subject="campaign_context")
    folder.release(campaign(field("name", "string", default="")), 2, subject="campaign_context")
    folder.release(order(1))
    folder.write(order(2), 2)
    assert {(rule, line, path) for rule, line, path in folder.rules("order_placed")} == {
        ("type_mismatch", 11, "$.campaign.name")
    }, "on the line of the field that leads there"


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"{", 1, "not JSON"),
        (b'{\n  "type": "record",\n  "name": }', 3, "not JSON"),
        (b'{"type": "record",\n"type": "record"}', 2, "twice"),
        (b"[]", 1, "not an Avro record"),
        (b"\xff", 1, "UTF-8"),
        (b'{"type": "record", "name": "R", "fields": []}', 1, "kind"),
        (b'{"type": "record", "kind": "event", "name": "R", "fields": [\n{"name": "a", "type": "nope"}]}', 2, "nope"),
    ],
    ids=repr,
)
def test_a_malformed_file_is_named_with_its_line(folder: Folder, content: bytes, line: int, said: str) -> None:
    folder.write(event(owner=...))
    path = folder.write(event(), subject="broken")
    path.write_bytes(content)
    (problem,) = folder.problems("order_placed")
    assert (problem["rule"], problem["subject"], problem["version"]) == ("unreadable", "broken", 1)
    assert (problem["file"], problem["line"]) == ("avro/broken/1.avsc", line)
    assert said in problem["message"]
    assert str(path) not in problem["message"]
    assert folder.run().exit_code == ExitCode.DIFFERENCE


def test_all_files_that_are_no_json_are_told_at_once(folder: Folder) -> None:
    for subject in ("one", "two"):
        folder.write(event(), subject=subject).write_text("{")
    assert [problem["subject"] for problem in folder.problems()] == ["one", "two"]


def test_a_released_file_that_is_gone(folder: Folder) -> None:
    folder.release(event()).unlink()
    (problem,) = folder.problems()
    assert problem["rule"] == "unreadable"
    assert "released, but not there" in problem["message"]
    assert "Restore it" in problem["instead"]


def test_a_damaged_lock_is_an_error_of_its_own(folder: Folder) -> None:
    (folder.path / lock.FILE).write_text("{")
    result = folder.run()
    assert isinstance(result.exception, ConfigError)
    assert lock.FILE in result.exception.message


def test_subjects_narrow_the_check(folder: Folder) -> None:
    folder.write(event(owner=...))
    folder.write(event(name="Other", purpose=...), subject="other")
    assert [problem["subject"] for problem in folder.problems("other")] == ["other"]
    assert len(folder.problems("other", "order_placed")) == 2
    result = folder.run("other", "nope")
    assert isinstance(result.exception, UsageError)
    assert "'nope'" in result.exception.message


def test_json(folder: Folder) -> None:
    folder.write(event(field("coupon", pii=...)))
    result = folder.run("--json")
    assert result.exit_code == ExitCode.DIFFERENCE
    document = json.loads(result.output)
    (problem,) = document.pop("problems")
    assert document == {"versions": 1, "errors": 1, "warnings": 0}
    assert problem == {
        "severity": "error",
        "rule": "pii_missing",
        "subject": "order_placed",
        "version": 1,
        "file": "avro/order_placed/1.avsc",
        "line": 11,
        "path": "$.coupon",
        "message": "`coupon` has no PII class",
        "why": "What is not classified can be neither hidden from analysts nor erased.",
        "instead": "Set `pii` to none, pseudonymous, personal or sensitive.",
    }


def test_github(folder: Folder) -> None:
    folder.release(event(field("coupon", doc="100 % of it.")))
    folder.write(event(field("coupon", doc="Half of it.", pii=...)), 2)
    result = folder.run("--github")
    assert result.exit_code == ExitCode.DIFFERENCE
    *commands, summary = result.output.splitlines()
    assert summary == "2 versions checked: 1 error, 1 warning"
    form = re.compile(r"::(error|warning) file=avro/order_placed/2\.avsc,line=11,title=order_placed%3A2 (\w+)::(.+)")
    found = [match.groups() for match in map(form.fullmatch, commands) if match]
    assert [(severity, rule) for severity, rule, _ in found] == [
        ("error", "pii_missing"),
        ("warning", "meaning_changed"),
    ]
    assert found[1][2].startswith("`coupon` was described as: 100 %25 of it. (version 1)%0A")


def test_json_and_github_exclude_each_other(folder: Folder) -> None:
    assert isinstance(folder.run("--json", "--github").exception, UsageError)


def test_the_configured_folder_is_the_default(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(event())
    monkeypatch.setenv("SLUICE_SCHEMAS_DIR", str(folder.path))
    assert CliRunner().invoke(cli, ["schemas", "check"]).output == "1 version checked: nothing is wrong\n"


def test_every_file_rule_says_why_and_what_to_do() -> None:
    assert all(why.endswith(".") and instead.endswith(".") for why, instead in checks._FILE_RULES.values())


def test_diff(folder: Folder) -> None:
    folder.release(event(field("coupon"), field("count", ["null", "int"])))
    folder.write(event(field("coupon"), field("count", ["null", "string"]), field("city")), 2)
    result = folder.run("order_placed:1", "order_placed", command="diff")
    assert result.exit_code == ExitCode.OK
    assert result.output.splitlines() == [
        "Fields",
        "  compatible  field `city` added: optional text, default null",
        "",
        "Types",
        "  breaking    `count`: text, was integer",
        "              new readers of old data: the writer may write int, which no branch of the reader's union takes",
        (
            "              old readers of new data: the writer may write string, "
            "which no branch of the reader's union takes"
        ),
        "",
        "2 changes, 1 breaking",
    ]


def test_diff_of_files_and_of_nothing(folder: Folder) -> None:
    path = folder.release(event())
    result = folder.run(str(path), "order_placed:1", command="diff")
    assert result.output == "no change\n"


def test_diff_as_json(folder: Folder) -> None:
    folder.release(event())
    folder.write(event(owner="web"), 2)
    document = json.loads(folder.run("order_placed:1", "order_placed:2", "--json", command="diff").output)
    assert document == {
        "changes": [
            {"group": "schema", "path": "$", "sentence": "owner web, was shop", "breaking": False, "reasons": []}
        ],
        "breaking": 0,
    }


@pytest.mark.parametrize("name", ["nope", "order_placed:9", "order_placed:x"])
def test_diff_of_what_is_not_there(folder: Folder, name: str) -> None:
    folder.release(event())
    assert isinstance(folder.run(name, "order_placed", command="diff").exception, UsageError)


def test_diff_of_a_file_that_is_not_there(folder: Folder) -> None:
    folder.release(event())
    assert isinstance(folder.run("order_placed", "gone.avsc", command="diff").exception, ConfigError)
