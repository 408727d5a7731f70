from __future__ import annotations

import gzip
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.inflate import MAX_GZIP_MEMBERS, inflate
from collector.problems import EncodingError, RequestError, TooLargeError

TEXT = b'{"event_type":"page_view"}' * 50


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(b"") + gzip.compress(TEXT[100:])),
    ],
)
def test_gives_back_what_was_compressed(encoding: str, body: bytes) -> None:
    assert inflate(body, encoding=encoding, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "identity, gzip", "chunked", "gzip;q=1", "\x00"])
def test_refuses_unknown_and_nested_encodings(encoding: str) -> None:
    with pytest.raises(EncodingError) as caught:
        inflate(TEXT, encoding=encoding, limit=10_000)
    assert caught.value.http_status == 415
    assert caught.value.headers == ((b"accept-encoding", b"gzip, deflate"),)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate])
def test_limit_is_exact(pack: type) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    assert len(inflate(pack(b"x" * 5000), encoding=encoding, limit=5000)) == 5000
    with pytest.raises(TooLargeError):
        inflate(pack(b"x" * 5001), encoding=encoding, limit=5000)


def test_limit_counts_all_members_together() -> None:
    with pytest.raises(TooLargeError):
        inflate(gzip.compress(b"x" * 600) * 2, encoding="gzip", limit=1000)


def test_bomb_is_refused_before_it_grows() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000, 9)
    started = time.perf_counter()
    with pytest.raises(TooLargeError):
        inflate(bomb, encoding="gzip", limit=1 << 20)
    assert time.perf_counter() - started < 0.1


def test_members_are_bounded() -> None:
    member = gzip.compress(b"")
    assert inflate(member * MAX_GZIP_MEMBERS, encoding="gzip", limit=10) == b""
    with pytest.raises(RequestError, match="members"):
        inflate(member * (MAX_GZIP_MEMBERS + 1), encoding="gzip", limit=10)


@pytest.mark.parametrize(
    ("encoding", "body", "says"),
    [
        ("gzip", b"", "cut off"),
        ("gzip", b"{}", "incorrect header"),
        ("gzip", gzip.compress(TEXT)[:-3], "cut off"),
        ("gzip", gzip.compress(TEXT) + b"{}", "follow the end"),
        ("deflate", zlib.compress(TEXT) + b"{}", "follow the end"),
        ("deflate", zlib.compress(TEXT)[:-1], "cut off"),
        ("deflate", b"\xff\xff\xff", "invalid"),
    ],
)
def test_corrupt_data_is_the_clients_fault(encoding: str, body: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        inflate(body, encoding=encoding, limit=10_000)
    assert (caught.value.code, caught.value.http_status) == ("invalid_encoding", 400)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]), st.integers(0, 300))
def test_any_bytes_end_in_bounds_or_in_a_typed_error(body: bytes, encoding: str, limit: int) -> None:
    try:
        size = len(inflate(body, encoding=encoding, limit=limit))
    except RequestError:
        return  # any other exception fails the test
    assert size <= limit


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_gzip_members_are_joined(parts: list[bytes]) -> None:
    body = b"".join(gzip.compress(part) for part in parts)
    assert inflate(body, encoding="gzip", limit=2000) == b"".join(parts)
