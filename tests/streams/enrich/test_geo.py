"""Places by IP address, from files that are there, missing, broken or replaced."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.metrics import counter
from streams.enrich.facts import NO_PLACE, Facts, Place
from streams.enrich.geo import Geo
from tests.streams.enrich.mmdb import mmdb

VIENNA = {
    "country": {"iso_code": "AT", "names": {"en": "Austria", "de": "Österreich"}},
    "subdivisions": [{"iso_code": "9", "names": {"en": "Vienna"}}],
    "city": {"names": {"en": "Vienna", "de": "Wien"}},
}
FILE = mmdb(
    {
        "192.0.2.0/24": VIENNA,
        "198.51.100.0/25": {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]},
        "198.51.100.128/25": {"registered_country": {"iso_code": "FR"}},
        "203.0.113.0/28": {"country": "DE", "city": ["x"], "subdivisions": {"en": "x"}},  # of another layout
        "203.0.113.16/28": {},
    }
)
IN_VIENNA = "192.0.2.7"


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    path = tmp_path / "city.mmdb"

    def replace(data: bytes) -> Path:
        new = tmp_path / "new"
        new.write_bytes(data)
        return new.replace(path)

    return replace


def of(geo: Geo, ip: str) -> Place:
    (row,) = geo([Facts(ip=ip)])
    return row


def refused() -> float:
    return float(counter("sluice_streams_enrich_geo_files_total").labels("refused")._value.get())


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        (IN_VIENNA, ("AT", "Vienna", "Vienna")),
        ("198.51.100.1", ("US", "CA", "")),
        ("198.51.100.200", ("FR", "", "")),
        ("203.0.113.1", NO_PLACE),
        ("203.0.113.17", NO_PLACE),
        ("8.8.8.8", NO_PLACE),
        ("", NO_PLACE),
        ("2001:db8::1", NO_PLACE),  # the file has IPv4 only
        ("192.0.2", NO_PLACE),
        ("192.0.2.7, 10.0.0.1", NO_PLACE),
        ("unknown", NO_PLACE),
        ("\ud800", NO_PLACE),
        ("1" * 10_000, NO_PLACE),
    ],
)
def test_an_address(write: Callable[[bytes], Path], ip: str, expected: Place) -> None:
    assert of(Geo(write(FILE)), ip) == expected


def test_any_text_has_a_place(write: Callable[[bytes], Path]) -> None:
    geo = Geo(write(FILE))

    @given(st.text() | st.ip_addresses().map(str))
    def check(ip: str) -> None:
        assert len(of(geo, ip)) == 3

    check()


BROKEN = {
    "empty": b"",
    "no database": b"<html>not found</html>" * 100,
    "truncated": FILE[:-40],
    "of another kind": mmdb({"192.0.2.0/24": {"autonomous_system_organization": "Example"}}, kind="GeoLite2-ASN"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_used_leaves_places_empty(
    write: Callable[[bytes], Path], data: bytes, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    before = refused()
    with caplog.at_level(logging.INFO):
        geo = Geo(write(data), monotonic=clock)
        for _ in range(3):
            assert of(geo, IN_VIENNA) == NO_PLACE
            clock.now += 61
    assert [record.getMessage() for record in caplog.records] == ["enrich.geo_unusable"], "said once"
    assert refused() == before + 1, "judged once"
    write(FILE)
    clock.now += 61
    assert of(geo, IN_VIENNA) == ("AT", "Vienna", "Vienna")


def test_a_missing_file_is_looked_for_again(
    tmp_path: Path, write: Callable[[bytes], Path], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    before = refused()
    with caplog.at_level(logging.WARNING):
        geo = Geo(tmp_path / "city.mmdb", monotonic=clock)
        clock.now += 61
        assert of(geo, IN_VIENNA) == NO_PLACE
    assert refused() == before + 2
    assert len(caplog.records) == 1, "said once"
    write(FILE)
    assert of(geo, IN_VIENNA) == NO_PLACE, "looked for once a minute"
    clock.now += 61
    assert of(geo, IN_VIENNA)[0] == "AT"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert of(Geo(tmp_path), IN_VIENNA) == NO_PLACE


def test_a_replaced_file_is_opened_within_a_minute(write: Callable[[bytes], Path], clock: Clock) -> None:
    geo = Geo(write(FILE), monotonic=clock)
    assert of(geo, IN_VIENNA)[0] == "AT"
    write(mmdb({"192.0.2.0/24": {"country": {"iso_code": "CH"}}}, kind="DBIP-Country-Lite"))
    clock.now += 59
    assert of(geo, IN_VIENNA)[0] == "AT"
    clock.now += 2
    assert of(geo, IN_VIENNA) == ("CH", "", ""), "what was remembered of the old file is gone"


def test_a_bad_replacement_leaves_the_old_file_in_use(write: Callable[[bytes], Path], clock: Clock) -> None:
    path = write(FILE)
    geo = Geo(path, monotonic=clock)
    write(BROKEN["truncated"])
    clock.now += 61
    assert of(geo, IN_VIENNA)[0] == "AT"
    path.unlink()
    clock.now += 61
    assert of(geo, "192.0.2.8")[0] == "AT"


def test_a_file_that_is_cut_in_place_ends_nothing(write: Callable[[bytes], Path], clock: Clock) -> None:
    """A mapped file that shrinks would end the process with SIGBUS."""
    path = write(FILE + bytes(1_000_000) + FILE[-300:])
    geo = Geo(path, monotonic=clock)
    os.truncate(path, 0)
    assert of(geo, IN_VIENNA)[0] == "AT"


def test_corrupt_data_raises_for_the_address_that_it_is_about(write: Callable[[bytes], Path]) -> None:
    at = FILE.index(b"iso_code")
    geo = Geo(write(FILE[: at - 1] + b"\xff" * 4 + FILE[at + 3 :]))
    with pytest.raises(Exception):  # noqa: B017 (the guard counts it, whichever it is)
        of(geo, IN_VIENNA)


def test_no_copy_is_left_behind(
    write: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert of(Geo(write(FILE)), IN_VIENNA)[0] == "AT"
    assert list(temporary.iterdir()) == []
