"""Values of the outcome and dead-letter topics, both ways and against fastavro."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from schemas import framing
from schemas.faults import Fault, fingerprint
from schemas.registry import bundled
from streams.records import (
    DeadLetter,
    Outcome,
    OutcomeKind,
    Run,
    decode_dead_letter,
    decode_outcome,
    encode_dead_letter,
    encode_outcome,
    runs_of,
)

INT = st.integers(0, 2**31 - 1)
LONG = st.integers(0, 2**62)
TEXT = st.text(max_size=20)
KINDS = st.sampled_from(["curated", "duplicate", "dead_letter"])


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    offsets = st.integers(0, 2**62)  # their ends are numbers of 64 bits too
    runs = draw(st.lists(st.builds(Run, KINDS, offsets, st.integers(0, 4)), max_size=5))
    duplicates = sum(run.count for run in runs if run.outcome == "duplicate")
    return Outcome(
        raw_partition=draw(INT),
        first=draw(LONG),
        last=draw(LONG),
        runs=runs,
        ids=draw(st.binary(max_size=64)),
        contracts=draw(st.dictionaries(TEXT, LONG, max_size=4)),
        firsts=draw(st.lists(LONG, min_size=duplicates, max_size=duplicates)),
    )


LETTERS = st.builds(
    DeadLetter,
    raw_partition=INT,
    raw_offset=LONG,
    arrival_at=LONG,
    faults=st.lists(st.builds(Fault, TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=3),
    raw=st.binary(max_size=100),
    tenant=TEXT,
    event=TEXT,
    version=INT,
    traceparent=TEXT,
)
OUTCOME = Outcome(1, 5, 9, [Run("curated", 5, 3), Run("duplicate", 8, 2)], b"x" * 48, {"page_view:1": 5}, [5, 2])
LETTER = DeadLetter(1, 5, 6, [Fault("wrong_type", "$.a", "int", "str")], b"\xff\0raw")


@given(outcomes())
def test_an_outcome_is_read_back(outcome: Outcome) -> None:
    value = encode_outcome(outcome)
    assert decode_outcome(value) == outcome
    assert outcome.records == sum(run.count for run in outcome.runs)
    assert framing.split(value)[0] == bundled().get("outcome", 2).id


def test_an_outcome_of_version_1_is_read_and_names_no_firsts() -> None:
    schema = bundled().get("outcome", 1)
    runs = [{"outcome": run.outcome, "first": run.first, "count": run.count} for run in OUTCOME.runs]
    row = {"raw_partition": 1, "first": 5, "last": 9, "runs": runs, "ids": OUTCOME.ids, "contracts": OUTCOME.contracts}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, row)
    assert decode_outcome(framing.prefix(schema.id) + out.getvalue()) == replace(OUTCOME, firsts=[])


def test_an_outcome_that_names_too_few_firsts_is_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="shorter"):
        encode_outcome(replace(OUTCOME, firsts=[5]))
    value = encode_outcome(OUTCOME)
    # The array of firsts is last: its count (2), two distances, its end.
    assert value[-4:] == bytes((4, 6, 14, 0))
    with pytest.raises(InputError, match="first of each duplicate"):
        decode_outcome(value[:-4] + bytes((2, 6, 0)))


@given(LETTERS)
def test_a_dead_letter_is_read_back(letter: DeadLetter) -> None:
    value = encode_dead_letter(letter)
    assert decode_dead_letter(value) == letter
    row = fastavro.schemaless_reader(io.BytesIO(value[5:]), bundled().get("dead_letter", 1).plain)
    assert isinstance(row, dict)
    assert row["code"] == letter.code == letter.faults[0].code
    assert row["fingerprint"] == fingerprint(letter.event, letter.version, letter.faults)


def test_a_record_of_another_schema_is_refused() -> None:
    with pytest.raises(InputError, match="no outcome"):
        decode_outcome(encode_dead_letter(LETTER))
    with pytest.raises(InputError, match="no dead_letter"):
        decode_dead_letter(encode_outcome(OUTCOME))
    with pytest.raises(InputError, match="schema 999"):
        decode_outcome(framing.prefix(999) + encode_outcome(OUTCOME)[5:])
    with pytest.raises(InputError, match="no outcome"):
        decode_outcome(b"\x01" + bytes(16) + encode_outcome(OUTCOME)[5:])


@pytest.mark.parametrize("value", [b"", b"{}", b"\0\0"])
def test_what_is_not_framed_is_refused(value: bytes) -> None:
    with pytest.raises(InputError):
        decode_outcome(value)


@given(st.lists(st.tuples(KINDS, st.integers(1, 3)), max_size=40))
def test_runs_cover_every_record_once_and_in_order(steps: list[tuple[OutcomeKind, int]]) -> None:
    """Offsets may have gaps: transactions and deleted records take some."""
    offset, kinds = 100, dict[int, OutcomeKind]()
    for outcome, gap in steps:
        offset += gap
        kinds[offset] = outcome
    runs = runs_of(list(kinds), {at: kind for at, kind in kinds.items() if kind != "curated"})
    assert [(run.first + at, run.outcome) for run in runs for at in range(run.count)] == list(kinds.items())
    for one, two in pairwise(runs):
        assert one.outcome != two.outcome or one.first + one.count != two.first


@pytest.mark.parametrize("decode", [decode_outcome, decode_dead_letter])
def test_cut_anywhere_a_record_is_refused(decode: Callable[[bytes], object]) -> None:
    value = encode_outcome(OUTCOME) if decode is decode_outcome else encode_dead_letter(LETTER)
    for end in range(len(value)):
        with pytest.raises(InputError):
            decode(value[:end])


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for subject, decode in (("outcome", decode_outcome), ("dead_letter", decode_dead_letter)):
        with contextlib.suppress(InputError):
            assert decode(framing.prefix(bundled().latest(subject).id) + body) is not None
