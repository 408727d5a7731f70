"""Country, region and city of an IP address, from a MaxMind DB file in the layout of GeoIP2.

The file is opened from a private copy: a mapped file that somebody writes over in place ends the process with SIGBUS.
It is looked at once a minute and opened again when it was replaced. A file that cannot be used is said once in the
log and counted; the columns stay empty until it is replaced by one that can. A file that was replaced by a bad one
stays in use.

A restatement asks the file of today: places may differ from what the live run found.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import maxminddb

from core.log import get_logger
from core.metrics import counter
from streams.enrich.facts import NO_PLACE, Facts, Place
from streams.enrich.memo import Memo

log = get_logger(__name__)

_CHECK_EVERY_S = 60.0
# Visitors send several events within minutes. The addresses live in this cache only, and in memory only.
_REMEMBERED = 8_192
MAX_NAME = 128
_MAX_ADDRESS = 64  # an IPv6 address has 45 characters
# What the type of a file says that knows countries; a file of networks or domains does not.
_USABLE = ("country", "city", "enterprise")

# mtime, size, inode: of a file that was replaced, one is another.
_Signature = tuple[int, int, int]


class _UnusableError(Exception):
    pass


class Geo:
    name = "geo"
    blank = NO_PLACE

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._reader: maxminddb.Reader | None = None
        self._ip_version = 0
        self._seen: _Signature | None = None
        self._said = ""
        self.memo: Memo[str, Place] = Memo(self._look_up, size=_REMEMBERED, cut=lambda ip: ip[:_MAX_ADDRESS])
        self._next_check = monotonic() + _CHECK_EVERY_S
        self._open_if_new()

    def __call__(self, batch: Sequence[Facts]) -> list[Place]:
        if self._monotonic() >= self._next_check:
            self._next_check = self._monotonic() + _CHECK_EVERY_S
            self._open_if_new()
        if self._reader is None:
            return [NO_PLACE] * len(batch)
        return [self.memo[facts.ip] if facts.ip else NO_PLACE for facts in batch]

    def _look_up(self, ip: str) -> Place:
        if self._reader is None:
            return NO_PLACE
        try:
            address = ip_address(ip)
        except ValueError:
            return NO_PLACE
        if address.version > self._ip_version:
            return NO_PLACE
        found = self._reader.get(address)
        return _place(found) if isinstance(found, dict) else NO_PLACE

    def _open_if_new(self) -> None:
        files = counter("sluice_streams_enrich_geo_files_total")
        try:
            signature = _signature(self._path)
            if signature == self._seen:
                return
            reader = _opened(self._path)
        except OSError as error:  # may pass by itself: tried again
            files.labels("refused").inc()
            self._say(str(error))
            return
        except _UnusableError as error:
            files.labels("refused").inc()
            self._seen = signature
            self._say(str(error))
            return
        self._seen = signature
        self._reader = reader
        metadata = reader.metadata()
        self._ip_version = metadata.ip_version
        self.memo.forget()
        self._said = ""
        files.labels("opened").inc()
        log.info("enrich.geo_opened", type=metadata.database_type, built=metadata.build_epoch)

    def _say(self, error: str) -> None:
        if error != self._said:
            self._said = error
            log.warning("enrich.geo_unusable", path=str(self._path), error=error, older_in_use=self._reader is not None)


def _signature(path: Path) -> _Signature:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _opened(path: Path) -> maxminddb.Reader:
    with path.open("rb") as source, tempfile.NamedTemporaryFile(prefix="sluice-geo-", suffix=".mmdb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        try:
            reader = maxminddb.open_database(copy.name)  # stays mapped when the name is gone
        except (ValueError, maxminddb.InvalidDatabaseError) as error:
            raise _UnusableError("no MaxMind DB file, or a damaged one") from error
    kind = reader.metadata().database_type
    if not any(word in kind.lower() for word in _USABLE):
        raise _UnusableError(f"a database of type {kind} knows no countries")
    return reader


def _place(found: dict[str, Any]) -> Place:
    country = found.get("country") or found.get("registered_country")
    regions = found.get("subdivisions")
    region = regions[0] if isinstance(regions, list) and regions else None
    return _text(country, "iso_code"), _english(region) or _text(region, "iso_code"), _english(found.get("city"))


def _english(entry: object) -> str:
    return _text(entry.get("names"), "en") if isinstance(entry, dict) else ""


def _text(entry: object, key: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value[:MAX_NAME] if isinstance(value, str) else ""
