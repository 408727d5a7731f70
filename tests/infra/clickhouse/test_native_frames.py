from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clickhouse import native_frames
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.libraries import city_hash_128, zstd_encoder
from infra.clickhouse.native_frames import FrameReader


def frame(plain: bytes, *, method: int, data: bytes) -> bytes:
    body = struct.pack("<BII", method, 9 + len(data), len(plain)) + data
    value = city_hash_128(body)
    return struct.pack("<QQ", value >> 64, value & (2**64 - 1)) + body


def read(body: bytes, *, size: int = 1 << 20) -> bytes:
    reader = FrameReader()
    plain = b"".join(reader.feed(body[at : at + size]) for at in range(0, len(body), size))
    reader.finish()
    return plain


@given(data=st.binary(max_size=3000), size=st.integers(1, 700))
def test_frames_come_back_however_they_are_cut(data: bytes, size: int) -> None:
    assert read(native_frames.compress(data), size=size) == data


def test_more_than_a_frame_takes_several() -> None:
    data = bytes(range(256)) * 10_000
    packed = native_frames.compress(data)
    assert read(packed) == data
    assert packed[16] == native_frames.LZ4
    assert len(packed) < len(data)


def test_zstd_and_plain_frames_are_read() -> None:
    plain = b"hello " * 50
    encoder = zstd_encoder()
    zstd = encoder.compress(plain) + encoder.flush()
    body = frame(plain, method=native_frames.ZSTD, data=zstd) + frame(plain, method=native_frames.NONE, data=plain)
    assert read(body) == plain + plain


@given(data=st.binary(min_size=1, max_size=200), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(data: bytes, at: int, bit: int) -> None:
    packed = bytearray(native_frames.compress(data))
    packed[at % len(packed)] ^= 1 << bit
    with pytest.raises(ClickHouseError) as caught:
        read(bytes(packed))
    assert caught.value.code in (33, 39, 40, 89, 271)


def test_torn_and_lying_frames_are_errors() -> None:
    packed = native_frames.compress(b"abc" * 100)
    with pytest.raises(ClickHouseError, match="torn"):
        read(packed[:-1])
    with pytest.raises(ClickHouseError) as caught:
        read(frame(bytes(10), method=native_frames.NONE, data=b"short"))
    assert caught.value.code == 271
    with pytest.raises(ClickHouseError) as caught:
        read(bytes(16) + struct.pack("<BII", native_frames.LZ4, 1 << 31, 1 << 31))
    assert caught.value.code == 39


def test_nothing_is_no_frame() -> None:
    assert native_frames.compress(b"") == b""
    assert read(b"") == b""
