"""From the records of the topics to one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.tail.sighting import from_curated, from_dead_letter, from_raw
from core.errors import InputError
from streams.records import Outcome, encode_outcome
from tests.streams.raw_events import wrapped
from tests.tail.sightings import curated, dead_letter, duplicate


def test_a_curated_record_tells_everything() -> None:
    seen = curated(properties={"title": "A", "n": [1]}, url="https://x/y")
    assert (seen.outcome, seen.raw_partition, seen.raw_offset, seen.tenant) == ("curated", 2, 7, "demo")
    assert (seen.event, seen.version, seen.event_id, seen.label) == ("page_view", 1, "e-1", "page_view")
    assert (seen.fields["properties"], seen.fields["extra"]) == ({"title": "A"}, {"n": [1]})
    assert seen.fields["occurred_at"] == "2023-11-14T22:13:19.000Z"
    assert seen.document()["raw"] == {"partition": 2, "offset": 7}


def test_a_dead_letter_tells_its_reasons_and_the_event() -> None:
    seen = dead_letter(properties={"status": "two hundred"})
    [fault] = seen.document()["faults"]
    assert (fault["code"], fault["path"], fault["got"]) == ("wrong_type", "$.properties.status", 'string "two hundred"')
    assert fault["message"] == f"$.properties.status: expected {fault['expected']}, got {fault['got']}"
    assert seen.fields["properties"] == {"status": "two hundred"}


def test_a_duplicate_is_what_its_raw_record_was() -> None:
    seen = duplicate(name="again", event_type="custom_event")
    assert (seen.outcome, seen.label, seen.event_id, seen.tenant) == ("duplicate", "again", "e-1", "demo")


@pytest.mark.parametrize("raw", [b"", b"garbage", wrapped(b"\xff{"), wrapped(b"[1]"), wrapped(b'{"event_id":1}')])
def test_a_dead_letter_that_cannot_be_read_is_still_shown(raw: bytes) -> None:
    seen = dead_letter(raw)
    assert seen.faults
    assert seen.event_id == ""
    assert seen.document()["outcome"] == "dead_letter"


@given(st.binary(max_size=80))
def test_any_bytes_are_some_sighting(raw: bytes) -> None:
    assert from_raw("duplicate", 0, 1, arrival_ms=2, value=raw).document()["tenant"] == ""
    assert from_raw("duplicate", 0, 1, arrival_ms=2, value=wrapped(raw)).tenant == "demo"


def test_records_of_other_kinds_are_refused() -> None:
    other = encode_outcome(Outcome(0, 1, 1, [], b"", {}))
    with pytest.raises(InputError, match="no event"):
        from_curated(other)
    with pytest.raises(InputError, match="no dead_letter"):
        from_dead_letter(other)


def test_times_no_calendar_has_are_left_as_numbers() -> None:
    assert duplicate(occurred_at=2**52).fields["occurred_at"] == 2**52
