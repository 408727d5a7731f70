from __future__ import annotations

import gzip
import tracemalloc
import zlib

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clickhouse import codings
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.libraries import zstd_encoder

CODINGS = ("gzip", "deflate", "zstd", "lz4")
BIG = 1 << 30


def packed(data: bytes, coding: str) -> bytes:
    if coding == "gzip":
        return gzip.compress(data)
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "lz4":
        result: bytes = lz4.frame.compress(data)
        return result
    encoder = zstd_encoder()
    return encoder.compress(data) + encoder.flush()


def inflate(body: bytes, coding: str, *, size: int = 7, max_bytes: int = BIG) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(codings.decoded(pieces, coding=coding, max_bytes=max_bytes))


@pytest.mark.parametrize("coding", CODINGS)
@given(data=st.binary(max_size=2000), size=st.integers(1, 500))
def test_what_was_packed_comes_back_however_it_is_cut(coding: str, data: bytes, size: int) -> None:
    assert inflate(packed(data, coding), coding, size=size) == data


@pytest.mark.parametrize("coding", CODINGS)
@given(pieces=st.lists(st.binary(max_size=300), max_size=5))
def test_our_encoders_are_read_by_our_decoders(coding: str, pieces: list[bytes]) -> None:
    encoder = codings.encoder(coding)
    body = b"".join(encoder.compress(piece) for piece in pieces) + encoder.flush()
    assert inflate(body, coding, size=50) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
def test_members_behind_each_other_are_one_body(coding: str) -> None:
    assert inflate(packed(b"one", coding) + packed(b"two", coding), coding) == b"onetwo"
    assert inflate(packed(b"one", coding) + packed(b"two", coding), coding, size=1000) == b"onetwo"


def test_raw_deflate_is_read_too() -> None:
    raw = zlib.compressobj(wbits=-15)
    assert inflate(raw.compress(b"x" * 500) + raw.flush(), "deflate") == b"x" * 500


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_stopped_before_it_fills_memory(coding: str) -> None:
    bomb = packed(bytes(200 << 20), coding)
    tracemalloc.start()
    with pytest.raises(ClickHouseError) as caught:
        inflate(bomb, coding, size=65536, max_bytes=4 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (caught.value.code, caught.value.status) == (307, 413)
    assert peak < 40 << 20


@pytest.mark.parametrize("coding", CODINGS)
def test_a_torn_body_is_an_error(coding: str) -> None:
    body = packed(b"abc" * 1000, coding)
    with pytest.raises(ClickHouseError) as caught:
        inflate(body[: len(body) // 2], coding)
    assert caught.value.status == 400


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_not_compressed_is_an_error(coding: str) -> None:
    with pytest.raises(ClickHouseError) as caught:
        inflate(b'{"id": 1}' * 20, coding)
    assert caught.value.status == 400


def test_unknown_codings_are_named() -> None:
    with pytest.raises(ClickHouseError, match="Unknown compression method br"):
        codings.named_codings("gzip, br")
    assert codings.named_codings("identity, GZIP") == ("gzip",)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [("gzip, zstd", "zstd"), ("gzip;q=0.5, deflate", "gzip"), ("br", None), ("", None), ("zstd;q=0, lz4", "lz4")],
)
def test_negotiation(accept: str, chosen: str | None) -> None:
    assert codings.negotiate(accept) == chosen
