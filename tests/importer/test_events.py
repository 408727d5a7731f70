"""Events as JSON lines: what is sent is what was written, with an id that is the same each time."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importer import Totals, import_events
from cli.importer.events import EventLines
from cli.importer.formats.line import MalformedLineError
from cli.importer.identity import Occurrences
from cli.importer.source import RawLine
from core.errors import InputError

NAMED = {"event_type": "page_view", "event_id": "a", "url": "/a", "consent_state": "granted"}
BARE = {"event_type": "page_view", "url": "/b", "consent_state": "granted"}


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


@pytest.fixture
def run(collector: Any, key: str, tmp_path: Path) -> Any:
    def run_(content: bytes, name: str = "events.jsonl", **options: Any) -> Totals:
        path = tmp_path / name
        path.write_bytes(content)
        return import_events(
            [path], collector_url=collector.url, key=key, rejects=tmp_path / "rejects.jsonl", **options
        )

    return run_


def test_events_are_sent_as_they_are_and_historical(collector: Any, run: Any, key: str, tmp_path: Path) -> None:
    content = lines(NAMED, BARE, BARE)
    assert run(content) == Totals(lines=3, accepted=3)
    assert collector.requests[0]["historical"] is True
    first, second, third = collector.sent
    assert first == NAMED
    assert second.pop("event_id") != third.pop("event_id")  # two occurrences are two events
    assert second == third == BARE
    run(gzip.compress(content), "events.jsonl.1.gz")
    import_events(
        ["-"], collector_url=collector.url, key=key, rejects=tmp_path / "r", source="events.jsonl",
        stdin=io.BytesIO(content),
    )  # fmt: skip
    ids = [event.get("event_id") for event in collector.sent]
    assert collector.sent[3:6] == collector.sent[6:9]
    assert len(set(ids[3:6])) == 3


def test_a_line_that_no_request_can_hold_costs_only_itself(collector: Any, run: Any, tmp_path: Path) -> None:
    bad = [b"", b"{", b"[1]", b'"text"', b"{} {}", b'{"a":"\xff"}', b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"]
    huge = b'{"event_type":"' + b"x" * 200_000 + b'"}'
    totals = run(lines(NAMED) + b"\n".join([*bad, huge, json.dumps(BARE).encode(), b'{"unfinished']))
    assert (totals.lines, totals.accepted, totals.malformed) == (11, 2, 9)
    rows = [json.loads(row) for row in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [(row["line"], row["code"]) for row in rows] == [
        (2, "empty"), (3, "json"), (4, "json"), (5, "json"), (6, "json"), (7, "json"), (8, "too_deep"),
        (9, "too_long"), (11, "unfinished"),
    ]  # fmt: skip
    assert rows[1]["raw"] == "{"


def test_half_a_surrogate_is_no_reason_to_refuse(collector: Any, run: Any) -> None:
    assert run(rb'{"event_id":"a","name":"\ud83d"}' + b"\n").accepted == 1
    assert collector.sent[0]["name"] == "\ufffd"


def test_the_collector_judges_the_contract(collector: Any, run: Any, reply: Any, tmp_path: Path) -> None:
    collector.answer = lambda _: reply(
        verdicts=[{"verdict": "rejected", "code": "unknown_field", "field": "$.x"}, {"verdict": "consent_dropped"}]
    )
    totals = run(lines({"x": 1, "event_id": 7}, BARE))
    assert (totals.refused, totals.consent_dropped) == (1, 1)
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["raw"] == '{"x": 1, "event_id": 7}'


def test_what_is_no_file_of_events(collector: Any, run: Any) -> None:
    for content in (b"name,age\n", b"\0\1\2", b"[]\n" * 2_000):
        with pytest.raises(InputError, match="no file of events"):
            run(content)
    assert collector.requests == []
    assert run(b"").lines == 0


objects = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name not in {"event_id", "occurred_at"}),
    st.none() | st.integers() | st.text(max_size=10) | st.lists(st.integers(), max_size=2),
    max_size=4,
)


@given(objects, st.sampled_from(["none", "null"]), st.text(" \t", max_size=2))
def test_an_id_is_added_to_any_object(event: dict[str, Any], absent: str, space: str) -> None:
    given_ = event | ({"event_id": None} if absent == "null" else {})
    line = (space + json.dumps(given_, ensure_ascii=False, indent=None) + space).encode("utf-8", "replace")
    read = EventLines(Occurrences("s"))(RawLine(1, line, ended=True, too_long=False))
    assert json.loads(read.body) == json.loads(line) | {"event_id": read.event_id}
    assert len(read.event_id) == 36


@given(st.binary(max_size=100) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace")))
def test_no_bytes_crash_the_reader(line: bytes) -> None:
    try:
        body = EventLines(Occurrences("s"))(RawLine(1, line, ended=True, too_long=False)).body
    except MalformedLineError:
        return
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00+00:00"), ("2026-01-31T12:00:00", "None"), (5, "None"),
     ("0001-01-01T00:00:00+10:00", "None"), (None, "None")],
)  # fmt: skip
def test_the_time_of_an_event(value: Any, expected: str) -> None:
    line = json.dumps({"event_id": "a", "occurred_at": value}).encode()
    at = EventLines(Occurrences("s"))(RawLine(1, line, ended=True, too_long=False)).occurred_at
    assert (at.isoformat() if at else "None") == expected
