"""The Confluent wire format, both forms."""

from __future__ import annotations

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import framing
from schemas.framing import FramingError

IDS = st.integers(min_value=0, max_value=2**32 - 1)


@given(IDS, st.binary())
def test_the_first_form_is_read_back(schema_id: int, body: bytes) -> None:
    value = framing.prefix(schema_id) + body
    assert value[:1] == b"\0"
    found, at = framing.split(value)
    assert (found, value[at:]) == (schema_id, body)


@given(st.uuids(), st.binary())
def test_the_second_form_is_read(guid: uuid.UUID, body: bytes) -> None:
    found, at = framing.split(b"\x01" + guid.bytes + body)
    assert (found, at) == (guid, 17)


def test_the_bytes_are_those_of_confluents_documentation() -> None:
    assert framing.prefix(258) == b"\x00\x00\x00\x01\x02"


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"\0\0\0\0", b"\x01" + b"x" * 15, b"\x02\0\0\0\1", b'{"event_id":1}'], ids=repr
)
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(FramingError):
        framing.split(value)


@given(st.binary(max_size=20))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    try:
        _, at = framing.split(value)
    except FramingError:
        assert value[:1] not in {b"\0", b"\x01"} or len(value) < 17
    else:
        assert at in {5, 17}
        assert at <= len(value)


@pytest.mark.parametrize("schema_id", [-1, 2**32])
def test_an_id_that_does_not_fit_is_an_error(schema_id: int) -> None:
    with pytest.raises(struct.error):
        framing.prefix(schema_id)
