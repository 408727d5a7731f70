from __future__ import annotations

from pathlib import Path

import pytest

from infra.child_log import ChildLog


def write(log: ChildLog, *lines: str) -> None:
    with log.open_for_child() as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def test_only_the_latest_child_is_read_and_all_is_kept(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "logs" / "x.log")
    assert log.tail() == []
    write(log, "first")
    write(log, "second", "", "third")
    assert log.tail() == ["second", "third"]
    assert log.path.read_text() == "first\nsecond\n\nthird\n"


def test_a_large_log_makes_room_at_the_next_start(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "x.log", rotate_bytes=100)
    write(log, "x" * 200)
    write(log, "new")
    assert log.path.read_text() == "new\n"
    assert (tmp_path / "x.log.1").read_text() == "x" * 200 + "\n"
    assert log.tail() == ["new"]


def test_a_huge_log_and_endless_lines_are_read_in_part(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "x.log")
    write(log, *["y" * 1000] * 1000, "last")
    tail = log.tail(5)
    assert tail[-1] == "last"
    assert {len(line) for line in tail[:-1]} == {300}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Traceback (most recent call last):", '  File "x.py", line 1, in error', "KeyError: 'a'"], "KeyError: 'a'"),
        (["2026-01-01 ERROR no room (kafka.log)", "\tat kafka.Error.x(Log.scala)", "2026-01-01 INFO error codes: none"],
         "2026-01-01 ERROR no room (kafka.log)"),
        (['{"level":"error","event":"sink.failed","exception":"Traceback\\nValueError: bad"}', "bye"],
         "sink.failed: ValueError: bad"),
        ([f'{{"level":"warning","event":"sink.waits","topic":"{"t" * 300}","error":"{"why " * 100}"}}'],
         f"sink.waits: {'why ' * 72}"),
        (['{"level":"info","event":"errors.counted","error":"0"}'], ""),
        (["all is well"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_line_that_explains(tmp_path: Path, lines: list[str], said: str) -> None:
    log = ChildLog(tmp_path / "x.log")
    write(log, *lines)
    assert log.last_error() == said
