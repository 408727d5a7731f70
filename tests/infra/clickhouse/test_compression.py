from __future__ import annotations

import gzip
import zlib

import lz4.frame
import pytest

from infra.clickhouse import codings, native_frames
from infra.clickhouse.libraries import zstd_encoder
from infra.clickhouse.native_frames import FrameReader
from tests.infra.clickhouse.front import Front

ROWS = b"".join(b"%d\tx\n" % number for number in range(50_000))


def zstd(data: bytes) -> bytes:
    encoder = zstd_encoder()
    return encoder.compress(data) + encoder.flush()


PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd, "lz4": lz4.frame.compress}


@pytest.mark.parametrize("coding", sorted(PACKERS))
def test_compressed_rows_are_stored(front: Front, table: str, coding: str) -> None:
    query = f"INSERT INTO {table} FORMAT TSV"
    reply = front.post(PACKERS[coding](ROWS), query=query, headers={"Content-Encoding": coding})
    assert reply.status == 200, reply.text
    assert front.rows(f"SELECT count(), sum(id) FROM {table}") == [["50000", str(sum(range(50_000)))]]


@pytest.mark.parametrize("coding", sorted(PACKERS))
def test_a_torn_body_stores_nothing(front: Front, table: str, coding: str) -> None:
    body = PACKERS[coding](ROWS)
    query = f"INSERT INTO {table} FORMAT TSV"
    reply = front.post(body[: len(body) * 3 // 4], query=query, headers={"Content-Encoding": coding})
    assert reply.status == 400, reply.text
    assert front.value(f"SELECT count() FROM {table}") == "0"


@pytest.mark.parametrize("coding", sorted(PACKERS))
@pytest.mark.parametrize("query", ["SELECT * FROM numbers(100000) FORMAT TSV", "SELECT 1 FORMAT JSON"])
def test_compressed_answers(front: Front, coding: str, query: str) -> None:
    plain = front.post(query, headers={"Accept-Encoding": coding})
    assert "content-encoding" not in plain.headers
    reply = front.post(query, headers={"Accept-Encoding": coding}, enable_http_compression=1)
    assert reply.headers["content-encoding"] == coding
    unpacked = b"".join(codings.decoded([reply.body], coding=coding, max_bytes=1 << 30))
    if "JSON" in query:
        assert b'"rows": 1' in unpacked
    else:
        assert unpacked == plain.body


def test_an_error_is_readable_without_decompression(front: Front) -> None:
    reply = front.post("SELEC", headers={"Accept-Encoding": "gzip"}, enable_http_compression=1, compress=1)
    assert reply.text.startswith("Code: 62.")


def test_unknown_codings_are_refused(front: Front, table: str) -> None:
    reply = front.post(b"x", query=f"INSERT INTO {table} FORMAT TSV", headers={"Content-Encoding": "br"})
    assert (reply.status, reply.code) == (400, 89)
    assert "Unknown compression method br" in reply.text


def test_the_engines_own_frames_both_ways(front: Front, table: str) -> None:
    framed = native_frames.compress(ROWS)
    reply = front.post(framed, query=f"INSERT INTO {table} FORMAT TSV", decompress=1)
    assert reply.status == 200, reply.text
    reader = FrameReader()
    unframed = reader.feed(front.post(f"SELECT id, s FROM {table} ORDER BY id FORMAT TSV", compress=1).body)
    reader.finish()
    assert unframed == ROWS
    broken = bytearray(framed)
    broken[-1] ^= 1
    reply = front.post(bytes(broken), query=f"INSERT INTO {table} FORMAT TSV", decompress=1)
    assert reply.code == 40
    assert front.value(f"SELECT count() FROM {table}") == "50000"
