from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from collector.inflate import MAX_MEMBERS, inflate
from collector.problems import EncodingError, RequestError, TooLargeError


def packed(data: bytes) -> bytes:
    """gzip without the time, so that tests have the same names in every process."""
    return gzip.compress(data, mtime=0)


TEXT = b'{"event_type":"page_view"}' * 50


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", packed(TEXT)),
        ("x-gzip", packed(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("zstd", zstd.compress(TEXT)),
        ("zstd", zstd.compress(TEXT[:100]) + zstd.compress(b"") + zstd.compress(TEXT[100:])),
        ("gzip", packed(TEXT[:100]) + packed(b"") + packed(TEXT[100:])),
    ],
)
def test_gives_back_what_was_compressed(encoding: str, body: bytes) -> None:
    assert inflate(body, encoding=encoding, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize(
    "encoding", ["snappy", "br, br", "gzip, gzip", "identity, gzip", "chunked", "gzip;q=1", "\x00"]
)
def test_refuses_unknown_and_nested_encodings(encoding: str) -> None:
    with pytest.raises(EncodingError) as caught:
        inflate(TEXT, encoding=encoding, limit=10_000)
    assert caught.value.http_status == 415
    assert caught.value.headers == ((b"accept-encoding", b"gzip, deflate, br, zstd"),)


PACKERS = [
    ("gzip", packed),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstd.compress),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_limit_is_exact(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert len(inflate(pack(b"x" * 5000), encoding=encoding, limit=5000)) == 5000
    with pytest.raises(TooLargeError):
        inflate(pack(b"x" * 5001), encoding=encoding, limit=5000)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", packed), ("zstd", zstd.compress)])
def test_limit_counts_all_members_together(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLargeError):
        inflate(pack(b"x" * 600) * 2, encoding=encoding, limit=1000)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_bomb_is_refused_before_it_grows(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"\0" * 50_000_000)
    tracemalloc.start()
    started = time.thread_time()
    with pytest.raises(TooLargeError):
        inflate(bomb, encoding=encoding, limit=1 << 20)
    assert time.thread_time() - started < 0.1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", packed), ("zstd", zstd.compress)])
def test_members_are_bounded(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    member = pack(b"")
    assert inflate(member * MAX_MEMBERS, encoding=encoding, limit=10) == b""
    with pytest.raises(RequestError, match="members"):
        inflate(member * (MAX_MEMBERS + 1), encoding=encoding, limit=10)


def test_a_zstd_frame_cannot_ask_for_a_huge_window() -> None:
    # Magic; no single segment, no size; a window of 2 GiB (RFC 8878 section 3.1.1.1); an empty last block.
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + b"\x01\x00\x00"
    with pytest.raises(RequestError) as caught:
        inflate(frame, encoding="zstd", limit=1000)
    assert caught.value.code == "invalid_encoding"


@pytest.mark.parametrize(
    ("encoding", "body", "says"),
    [
        ("gzip", b"", "cut off"),
        ("gzip", b"{}", "incorrect header"),
        ("gzip", packed(TEXT)[:-3], "cut off"),
        ("gzip", packed(TEXT) + b"{}", "follow the end"),
        ("deflate", zlib.compress(TEXT) + b"{}", "follow the end"),
        ("deflate", zlib.compress(TEXT)[:-1], "cut off"),
        ("deflate", b"\xff\xff\xff", "invalid"),
        ("br", b"", "cut off"),
        ("br", b"\xff\xff\xff", "decoder failed"),
        ("br", brotli.compress(TEXT)[:-3], "cut off"),
        ("br", brotli.compress(TEXT) + b"{}", "decoder failed"),
        ("zstd", b"", "cut off"),
        ("zstd", b"\xff\xff\xff\xff", "Unable to decompress"),
        ("zstd", zstd.compress(TEXT)[:-3], "cut off"),
        ("zstd", zstd.compress(TEXT) + b"{}", "follow the end"),
    ],
)
def test_corrupt_data_is_the_clients_fault(encoding: str, body: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        inflate(body, encoding=encoding, limit=10_000)
    assert (caught.value.code, caught.value.http_status) == ("invalid_encoding", 400)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.integers(0, 300))
def test_any_bytes_end_in_bounds_or_in_a_typed_error(body: bytes, encoding: str, limit: int) -> None:
    try:
        size = len(inflate(body, encoding=encoding, limit=limit))
    except RequestError:
        return  # any other exception fails the test
    assert size <= limit


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_gzip_members_are_joined(parts: list[bytes]) -> None:
    body = b"".join(packed(part) for part in parts)
    assert inflate(body, encoding="gzip", limit=2000) == b"".join(parts)
