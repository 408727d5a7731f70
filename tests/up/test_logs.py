"""Lines of log files as records, merged, shown and followed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli.up.log_lines import merged, parse, shown
from cli.up.logs import Tail, as_object, logs
from core.errors import UsageError

OURS = (
    '{"at":"2026-11-21T03:59:39.%03d+00:00","level":"%s","process":"x","logger":"a.b","event":"%s",'
    '"rows":10,"why":"a b"}'
)


def write(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def local(at: str) -> str:
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S.%f")[:-3]


def test_a_line_of_ours() -> None:
    (record,) = parse([OURS % (12, "warning", "sink.slow")], process="sink-1")
    time = local("2026-11-21T03:59:39.012+00:00")
    assert shown(record, name_width=8) == [f'{time} warning sink-1    sink.slow  rows=10  why="a b"']


def test_an_exception_is_indented_below() -> None:
    line = (
        '{"at":"2026-11-21T03:59:39+00:00","level":"error","event":"x.failed","exception":"Traceback:\\n  f\\nE: no"}'
    )
    (record,) = parse([line], process="streams")
    assert shown(record, name_width=1)[1:] == ["    Traceback:", "      f", "    E: no"]


def test_kafkas_lines_and_their_continuation() -> None:
    lines = ["[2026-11-21 03:44:20,123] WARN disk is slow (kafka.log)", "java.io.IOException: x", "\tat kafka.Main"]
    (record,) = parse(lines, process="kafka")
    at = datetime(2026, 11, 21, 3, 44, 20, 123_000).astimezone(UTC)  # Java writes local time
    assert (record.level, datetime.fromisoformat(record.at)) == ("warning", at)
    assert record.event.splitlines() == ["disk is slow (kafka.log)", "java.io.IOException: x", "\tat kafka.Main"]


def test_what_is_printed_past_the_log_is_a_record_of_its_own() -> None:
    first, second = parse([OURS % (1, "info", "a"), "Segmentation fault"], process="sink")
    assert (first.event, second.event, second.at) == ("a", "Segmentation fault", first.at)


def test_a_terminals_codes_before_a_line_do_not_hide_it() -> None:
    (record,) = parse(["\x08\x1b[?25h" + OURS % (1, "info", "a")], process="streams")
    assert (record.event, record.level) == ("a", "info")


def test_files_are_merged_by_time() -> None:
    sink = list(parse([OURS % (n, "info", f"s{n}") for n in (1, 3)], process="sink"))
    streams = list(parse([OURS % (n, "info", f"t{n}") for n in (2, 4)], process="streams"))
    assert [record.event for record in merged([*streams, *sink])] == ["s1", "t2", "s3", "t4"]


@given(
    st.lists(st.text(max_size=80) | st.binary(max_size=60).map(lambda b: "{" + b.decode(errors="replace")), max_size=8)
)
def test_any_line_is_shown_without_control_characters(lines: list[str]) -> None:
    for record in parse(lines, process="x"):
        for line in shown(record, name_width=4):
            assert not any(ord(c) < 32 and c != "\t" for c in line)
        msgspec.json.encode(as_object(record))


def test_following_gives_whole_lines_and_survives_rotation(tmp_path: Path) -> None:
    path = tmp_path / "sink.log"
    write(path, *(OURS % (n, "info", f"e{n}") for n in range(5)))
    tail = Tail(path)
    assert [record.event for record in tail.last(2)] == ["e3", "e4"]
    assert tail.new() == []
    with path.open("a") as file:
        file.write('{"at":"2026-11-21T03:5')
    assert tail.new() == []
    path.replace(tmp_path / "sink.log.1")
    write(path, OURS % (7, "info", "e7"))
    assert [record.event for record in tail.new()] == ["e7"]
    write(path, OURS % (8, "info", "e8"))
    assert [record.event for record in tail.new()] == ["e8"]
    path.unlink()
    assert tail.new() == []


def test_a_line_written_in_two_halves_is_one(tmp_path: Path) -> None:
    path = tmp_path / "sink.log"
    path.touch()
    tail = Tail(path)
    tail.last(0)
    line = OURS % (1, "info", "whole")
    with path.open("a") as file:
        file.write(line[:50])
    assert tail.new() == []
    with path.open("a") as file:
        file.write(f"{line[50:]}\n")
    assert [record.event for record in tail.new()] == ["whole"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path))
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "sink.log", OURS % (1, "info", "first"), OURS % (3, "error", "third"))
    write(folder / "streams.log", OURS % (2, "info", "second"))
    return folder


def run(*argv: str) -> list[str]:
    result = CliRunner().invoke(logs, argv, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.splitlines()


@pytest.mark.usefixtures("state")
def test_the_command_merges_and_limits() -> None:
    assert [next(w for w in line.split() if w in {"first", "second", "third"}) for line in run()] == [
        "first",
        "second",
        "third",
    ]
    assert [line.split()[3] for line in run("-n", "2")] == ["second", "third"]
    assert [line.split()[3] for line in run("sink", "-n", "1")] == ["third"]
    assert run("-n", "0") == []


@pytest.mark.usefixtures("state")
def test_the_command_as_json() -> None:
    decoded = [msgspec.json.decode(line) for line in run("--json")]
    assert [(line["process"], line["event"], line["rows"]) for line in decoded][1] == ("streams", "second", 10)


@pytest.mark.usefixtures("state")
def test_a_process_that_is_not_there() -> None:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(logs, ["strems"], catch_exceptions=False)
    assert "sink, streams" in caught.value.hint


def test_no_logs_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "none"))
    with pytest.raises(UsageError):
        CliRunner().invoke(logs, [], catch_exceptions=False)
