"""What `can_read` calls compatible, fastavro reads: every generated value, written with one schema, read with another.

fastavro is more lenient than the specification in places (it matches an alias by its bare name, and an enum to a record
of the same name), so only this direction holds. Where it is stricter, the tests at the end say how.
"""

from __future__ import annotations

import copy
import io
from collections import Counter
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.compatibility import can_read
from tests.schemas.compatibility.pairs import array, enum, field, of, record
from tests.schemas.compatibility.strategies import Values, is_valid, pairs

QUICK = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def read(reader: Any, writer: Any, value: Any) -> Any:
    """`value`, written with one schema and read with the other."""
    out = io.BytesIO()
    parsed = fastavro.parse_schema(copy.deepcopy(writer), named_schemas={})
    fastavro.schemaless_writer(out, parsed, value)
    out.seek(0)
    return fastavro.schemaless_reader(out, parsed, fastavro.parse_schema(copy.deepcopy(reader), named_schemas={}))


@given(pairs(), st.data())
@QUICK
def test_what_is_compatible_can_be_read(drawn: tuple[Any, Any], data: st.DataObject) -> None:
    reader, writer = drawn
    assume(is_valid(reader) and is_valid(writer) and not can_read(reader, writer))
    read(reader, writer, data.draw(_values(writer)))


def test_generated_pairs_are_of_both_kinds() -> None:
    """Else the property above would hold for want of pairs."""
    seen: Counter[str] = Counter()

    @given(pairs())
    @settings(QUICK, derandomize=True)
    def count(drawn: tuple[Any, Any]) -> None:
        assume(is_valid(drawn[0]) and is_valid(drawn[1]))
        faults = can_read(*drawn)
        seen.update({str(found.rule) for found in faults} or {"compatible" if drawn[0] != drawn[1] else "equal"})

    count()
    assert seen["compatible"] > 40
    assert len(seen) == 8, seen


@st.composite
def _values(draw: st.DrawFn, schema: Any) -> Any:
    values = Values(draw)
    values.define(schema)
    return values.of(schema)


# Where fastavro 1.13 is stricter than the specification. Once this fails, the generators may draw any bytes.


def test_fastavro_does_not_read_bytes_as_text_that_are_not_utf8() -> None:
    assert can_read(of("string"), of("bytes")) == []
    assert read(of("string"), of("bytes"), {"a": b"\xc3\xa9"}) == {"a": "é"}
    with pytest.raises(UnicodeDecodeError):
        read(of("string"), of("bytes"), {"a": b"\xff"})


# Where it is more lenient: it reads what the specification calls an error.


def test_fastavro_matches_an_alias_by_its_bare_name() -> None:
    reader, writer = enum("x", "n.Other", aliases=["E"]), enum("x", "m.E")
    assert [found.rule for found in can_read(reader, writer)] == ["name_mismatch"]
    assert read(reader, writer, "x") == "x"


def test_fastavro_does_not_look_at_the_types_of_arrays_that_are_empty() -> None:
    reader, writer = of(array(["null", "int"])), of(array(["null", "string"]))
    assert [found.path for found in can_read(reader, writer)] == ["$.a[]"]
    assert read(reader, writer, {"a": []}) == {"a": []}


def test_fastavro_takes_either_of_two_fields_by_an_alias() -> None:
    """Which one hangs on their order, or it fails. Avro's own implementation fails always."""
    reader = record(field("b", "int", aliases=["a"]))
    ab, ba = record(field("a", "int"), field("b", "int")), record(field("b", "int"), field("a", "int"))
    for writer in (ab, ba):
        assert [found.rule for found in can_read(reader, writer)] == ["ambiguous_alias"]
    assert read(reader, ab, {"a": 1, "b": 2}) == {"b": 1}
    with pytest.raises(KeyError):
        read(reader, ba, {"a": 1, "b": 2})
