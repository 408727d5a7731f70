"""validate: a verdict for every line, whatever it holds, in bounded memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.schemas import validate as command
from cli.schemas.judging import EventJudge, PropertiesJudge
from cli.schemas.lines import MAX_LINE_BYTES, Line, lines
from core.errors import ExitCode, InputError, UsageError
from schemas.registry import bundled
from schemas.release import path_of
from tests.schemas_cli.conftest import Sluice
from tests.structure.imports import ROOT

VIEW = {"event_type": "page_view", "properties": {"status": 200}}
SEARCH = {"event_type": "custom_event", "name": "search", "properties": {"query": "x", "result_count": 0}}
EVENTS: list[tuple[Any, str | None, list[tuple[str, str]]]] = [
    (VIEW, "page_view:1", []),
    (SEARCH, "search:1", []),
    (SEARCH | {"version": 1}, "search:1", []),
    (SEARCH | {"name": "unheard_of", "properties": {"a": [1]}}, "custom_event:1", []),
    (VIEW | {"properties": None, "context": None}, "page_view:1", []),
    ({"event_type": "page_view"}, "page_view:1", []),
    (VIEW | {"context": {"device": {"type": "phone"}}}, "page_view:1", []),
    (
        VIEW | {"properties": {"status": "200", "bytes": -1}},
        "page_view:1",
        [("wrong_type", "$.properties.status"), ("out_of_bounds", "$.properties.bytes")],
    ),
    (VIEW | {"context": {"device": {"type": "fridge"}}}, "page_view:1", [("not_allowed", "$.context.device.type")]),
    (SEARCH | {"properties": []}, "search:1", [("wrong_type", "$.properties")]),
    (SEARCH | {"version": 7}, None, [("unknown_version", "$.version")]),
    (SEARCH | {"name": None}, None, [("missing_field", "$.name")]),
    (VIEW | {"propertys": {}}, None, [("unknown_field", "$.propertys")]),
    (VIEW | {"event_type": "search"}, None, [("invalid_field", "$.event_type")]),
    ([], None, [("invalid_field", "$")]),
]


def jsonl(*documents: Any) -> str:
    return "".join(json.dumps(each) + "\n" for each in documents)


def verdicts(output: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *found, last = map(json.loads, output.splitlines())
    return found, last["summary"]


@pytest.mark.parametrize(("event", "contract", "faults"), EVENTS, ids=[json.dumps(each[0]) for each in EVENTS])
def test_an_event_is_judged(event: Any, contract: str | None, faults: list[tuple[str, str]], sluice: Sluice) -> None:
    result = sluice("validate", "-", "--json", stdin=jsonl(event))
    (verdict,), summary = verdicts(result.output)
    assert verdict["contract"] == contract
    assert [(fault["code"], fault["path"]) for fault in verdict["faults"]] == faults
    assert verdict["valid"] == (not faults)
    assert result.exit_code == (ExitCode.DIFFERENCE if faults else ExitCode.OK)
    assert summary["invalid"] == len(faults[:1])


def test_bare_properties_are_judged_by_the_event_that_is_named(sluice: Sluice) -> None:
    result = sluice("validate", "-", "--event", "search:1", "--json", stdin=jsonl({"query": "x"}, {"a": 1}, 7))
    found, summary = verdicts(result.output)
    assert [len(each["faults"]) for each in found] == [1, 2, 1]
    assert [each["faults"][0]["path"] for each in found] == ["$.result_count", "$.query", "$"]
    assert summary["contracts"] == {"search:1": {"lines": 3, "invalid": 3}}


def test_what_people_read(sluice: Sluice, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(jsonl(VIEW, SEARCH | {"properties": {"query": 7}}) + "nonsense\n")
    result = sluice("validate", "events.jsonl")
    assert result.exit_code == ExitCode.DIFFERENCE
    assert result.output.splitlines() == [
        "line 2 search:1",
        "  $.properties.query: expected text of at most 512 characters, got integer (wrong_type)",
        "  $.properties.result_count: expected integer of at least 0, got nothing (missing_field)",
        "line 3",
        "  $: JSON is malformed: invalid character (byte 4) (invalid_json)",
        "3 lines: 1 valid, 2 invalid",
        "  no contract: 0 valid, 1 invalid",
        "  page_view:1: 1 valid, 0 invalid",
        "  search:1: 0 valid, 1 invalid",
    ]


def test_unplanned_properties_are_valid_and_told(sluice: Sluice) -> None:
    events = [VIEW | {"properties": {"colour": 1}}, VIEW | {"properties": {"colour": 2, "\x1b[31m": 3}}]
    text = sluice("validate", "-", stdin=jsonl(*events))
    assert text.exit_code == ExitCode.OK
    assert text.output.splitlines()[-1] == "  kept, but in no contract: colour (2), \\x1b[31m (1)"
    found, summary = verdicts(sluice("validate", "-", "--json", stdin=jsonl(*events)).output)
    assert [each["unplanned"] for each in found] == [["colour"], ["colour", "\x1b[31m"]]
    assert summary["unplanned"] == {"colour": 2, "\x1b[31m": 1}


def test_names_of_strangers_do_not_fill_the_memory(sluice: Sluice) -> None:
    events = [VIEW | {"properties": {f"n{number}": 1}} for number in range(200)]
    _, summary = verdicts(sluice("validate", "-", "--json", stdin=jsonl(*events)).output)
    assert len(summary["unplanned"]) == command._MOST_NAMES


def test_drafts_judge_for_those_who_ask(sluice: Sluice, own: Path) -> None:
    sluice("new", "trial_started")
    bad = {"event_type": "custom_event", "name": "trial_started", "properties": {"item_count": "3"}}
    assert sluice("validate", "-", stdin=jsonl(bad)).exit_code == ExitCode.OK
    assert sluice("validate", "-", "--drafts", stdin=jsonl(bad)).exit_code == ExitCode.DIFFERENCE
    assert sluice("validate", "-", "--event", "trial_started", stdin='{"item_count": "3"}').exit_code == 1


def test_a_superseded_version_is_judged_by_the_other(sluice: Sluice, own: Path) -> None:
    sluice("new", "search")
    path = path_of(own, "search", 2)
    path.write_text(path.read_text().replace('"maxLength": 512', '"maxLength": 600'))
    sluice("release", "search")
    sluice("deprecate", "search:1", "--superseded-by", "2")
    (verdict,), _ = verdicts(sluice("validate", "-", "--json", stdin=jsonl(SEARCH | {"version": 1})).output)
    assert verdict["contract"] == "search:2"


def test_samples_go_through(sluice: Sluice) -> None:
    samples = sluice("sample", "order_completed", "--count", "50").output
    result = sluice("validate", "-", "--event", "order_completed", stdin=samples)
    assert result.output.splitlines() == ["50 lines: 50 valid, 0 invalid", "  order_completed:1: 50 valid, 0 invalid"]
    misses = sluice("sample", "order_completed", "--near-miss", "--json").output.splitlines()
    bare = jsonl(*(json.loads(line)["properties"] for line in misses))
    _, summary = verdicts(sluice("validate", "-", "--event", "order_completed", "--json", stdin=bare).output)
    assert summary["invalid"] == summary["lines"] == len(misses)


def test_nothing_to_judge_is_told(sluice: Sluice) -> None:
    with pytest.raises(InputError, match="holds no event"):
        sluice("validate", "-", stdin="\n \n")
    with pytest.raises(InputError, match="cannot be read"):
        sluice("validate", "nowhere.jsonl")
    with pytest.raises(UsageError, match="no schema of 'serch'"):
        sluice("validate", "-", "--event", "serch")


def test_a_bar_is_for_terminals_only(sluice: Sluice, tmp_path: Path) -> None:
    """The verdicts stay on standard output also where the bar has a terminal of its own."""
    (tmp_path / "events.jsonl").write_text(jsonl(*[VIEW] * 2_000))
    seen, terminal = os.openpty()
    with os.fdopen(seen, "rb", buffering=0) as screen:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "schemas", "validate", str(tmp_path / "events.jsonl"), "--json"],
            cwd=ROOT,
            env=os.environ | {"TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
        )
        os.close(terminal)
        drawn = screen.read(65_536)
    found, summary = verdicts(done.stdout.decode())
    assert (done.returncode, len(found), summary["valid"]) == (0, 2_000, 2_000)
    assert b"\x1b[" in drawn


# -- lines


def read(content: bytes) -> tuple[list[Line], int]:
    sizes: list[int] = []
    found = list(lines(io.BytesIO(content), sizes.append))
    return found, sum(sizes)


def test_lines_are_numbered_as_in_the_file() -> None:
    found, size = read(b"\xef\xbb\xbf{}\r\n\n  \n[1]\nlast")
    assert found == [Line(1, b"{}"), Line(4, b"[1]"), Line(5, b"last")]
    assert size == len(b"\xef\xbb\xbf{}\r\n\n  \n[1]\nlast")


@pytest.mark.parametrize("end", [b"\n{}\n", b""])
def test_a_line_that_is_too_long_is_skipped(end: bytes) -> None:
    long = b"x" * (3 * MAX_LINE_BYTES + 7)
    found, size = read(b"{}\n" + long + end)
    assert found == [Line(1, b"{}"), Line(2, None), *([Line(3, b"{}")] if end else [])]
    assert size == 3 + len(long) + len(end)


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_longest_line_is_read_whole(length: int, end: bytes) -> None:
    found, _ = read(b"x" * length + end + b"next"[: 4 * len(end)])
    assert found[0] == Line(1, b"x" * length if length <= MAX_LINE_BYTES else None)
    assert found[1:] == ([Line(2, b"next")] if end else [])


def test_a_line_that_is_too_long_is_a_verdict(sluice: Sluice) -> None:
    result = sluice("validate", "-", "--json", stdin=b"x" * (MAX_LINE_BYTES + 1) + b"\n" + jsonl(VIEW).encode())
    (long, good), _ = verdicts(result.output)
    assert ([fault["code"] for fault in long["faults"]], good["valid"]) == (["too_large"], True)


# -- nothing is a crash

JUNK = (
    st.binary(max_size=60)
    | st.text(max_size=30).map(str.encode)
    | st.from_regex(rb'\{"event_type": ?"page_view".{0,40}')
)


@given(line=JUNK)
def test_any_line_gets_a_verdict(line: bytes) -> None:
    for judge in (EventJudge(bundled()), PropertiesJudge(bundled().get("search", 1))):
        verdict = judge.judge(line)
        assert verdict.complaints or verdict.contract


@pytest.mark.parametrize(
    "line",
    [b"[" * 10_000, b'{"a":' * 10_000, b'{"event_type":"page_view","properties":' + b"[" * 9_000, b'{"a": "\\ud800"}'],
    ids=["lists", "objects", "inside", "surrogate"],
)
def test_hostile_lines_get_a_verdict(line: bytes) -> None:
    for judge in (EventJudge(bundled()), PropertiesJudge(bundled().get("search", 1))):
        assert judge.judge(line).complaints
