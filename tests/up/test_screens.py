"""Where there is no terminal: a line a change, in words or as JSON."""

from __future__ import annotations

import msgspec

from cli.up.screens import JsonLines, PlainLines
from tests.up.snapshots import process, snapshot


def test_plain_lines_tell_changes_only() -> None:
    lines: list[str] = []
    screen = PlainLines(lines.append)
    starting = snapshot(phase="starting", step="starting kafka", processes=(process("kafka", state="starting", pid=7),))
    screen.show(starting)
    screen.show(starting)
    assert lines == ["starting kafka", "kafka starting (pid 7)"]
    lines.clear()
    screen.show(snapshot(processes=(process("kafka", pid=7),)))
    screen.show(snapshot(processes=(process("kafka", pid=7, up_s=900.0),), up_s=900.0))
    assert lines == ["kafka ready (pid 7)", "ready after 3 min: collector http://127.0.0.1:19001"]
    lines.clear()
    fallen = process("kafka", state="restarting", pid=None, restarts=0, last_reason="killed by SIGKILL")
    screen.show(snapshot(processes=(fallen,), problems=("Kafka does not answer: 1",)))
    screen.show(snapshot(processes=(fallen,), problems=("Kafka does not answer: 2",)))
    screen.show(snapshot(processes=(process("kafka", pid=8, restarts=1),)))
    assert lines == [
        "kafka fell: killed by SIGKILL",
        "problem: Kafka does not answer: 1",
        "kafka ready (pid 8)",
        "over: Kafka does not answer: 2",
    ]
    lines.clear()
    screen.show(snapshot(phase="draining", processes=(process("kafka", state="stopped", pid=None, restarts=1),)))
    assert lines == ["draining", "kafka stopped"]


def test_json_lines_are_status_documents() -> None:
    lines: list[str] = []
    screen = JsonLines(lines.append)
    screen.show(snapshot())
    screen.show(snapshot(up_s=900.0))
    screen.show(snapshot(problems=("x",)))
    decoded = [msgspec.json.decode(line) for line in lines]
    assert [line["health"] for line in decoded] == ["healthy", "degraded"]
    assert decoded[0]["addresses"]["collector_url"] == "http://127.0.0.1:19001"
