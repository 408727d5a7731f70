"""Which raw records a plan is about. All conditions must hold; one that is left out always does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from core.errors import InputError

_AGO = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Past this, a list of ids is a job for another tool than a command line.
MAX_EVENT_IDS = 10_000


class OffsetRange(msgspec.Struct, frozen=True):
    """Raw offsets `first` to `last` of one raw partition, both included. `partition` is its number (`core.lanes`)."""

    partition: int
    first: int
    last: int


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`from_ms` (included) and `to_ms` (excluded) bound the arrival: the broker's append time in epoch milliseconds.

    `version` is the contract version that the client named, `code` and `fingerprint` those of a dead letter.
    """

    from_ms: int
    to_ms: int
    offsets: tuple[OffsetRange, ...] = ()
    tenant: str = ""
    event: str = ""
    version: int | None = None
    code: str = ""
    fingerprint: str = ""
    event_ids: tuple[str, ...] = ()

    def check(self, *, now_ms: int) -> None:
        """Raises InputError if it can select nothing."""
        if self.from_ms >= self.to_ms:
            raise InputError(
                f"the window is empty: {moment(self.from_ms)} is not before {moment(self.to_ms)}",
                hint="--from is included, --to is not.",
            )
        if self.from_ms > now_ms:
            raise InputError(f"the window begins in the future: {moment(self.from_ms)}")
        if len(self.event_ids) > MAX_EVENT_IDS:
            raise InputError(f"{len(self.event_ids)} event ids are named, {MAX_EVENT_IDS} may be")
        for each in self.offsets:
            if not 0 <= each.first <= each.last:
                raise InputError(f"partition {each.partition}: {each.first} to {each.last} is no range of offsets")

    @property
    def dead_letters_only(self) -> bool:
        return bool(self.code or self.fingerprint)

    @property
    def days(self) -> tuple[str, str]:
        """First and last UTC day of the window, ISO 8601."""
        return day_of(self.from_ms), day_of(self.to_ms - 1)

    def describe(self) -> str:
        """The selection as a line for people."""
        parts = [f"{moment(self.from_ms)} to {moment(self.to_ms)}"]
        parts += [f"partition {o.partition} offsets {o.first} to {o.last}" for o in self.offsets]
        for name in ("tenant", "event", "version", "code", "fingerprint"):
            if (value := getattr(self, name)) not in {"", None}:
                parts.append(f"{name} {value}")
        if self.event_ids:
            parts.append(f"{len(self.event_ids)} event ids")
        return ", ".join(parts)


def day_of(ms: int) -> str:
    """The UTC day of an epoch time in milliseconds, ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def moment(ms: int) -> str:
    """An epoch time in milliseconds for people: UTC, without what is zero."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at.time() != at.min.time() else at.strftime("%Y-%m-%d")


def parse_moment(text: str, *, now_ms: int) -> int:
    """Epoch milliseconds of `2026-03-01`, `2026-03-01T12:00`, `2026-03-01T12:00:00+02:00` (UTC where no offset is
    named), `3d` ago (s, m, h, d, w), `today`, `yesterday` or `now`.

    Raises:
        InputError: none of these.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    word = text.strip().lower()
    if word == "now":
        return now_ms
    if word in {"today", "yesterday"}:
        return _ms(today - timedelta(days=word == "yesterday"))
    if ago := _AGO.fullmatch(word):
        try:
            return _ms(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        except OverflowError:
            raise _unreadable(text) from None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _unreadable(text) from None
    return _ms(at if at.tzinfo else at.replace(tzinfo=UTC))


def parse_offsets(texts: Sequence[str]) -> tuple[OffsetRange, ...]:
    """`2:100-250` is partition 2, offsets 100 to 250; `2:100` is one record.

    Raises:
        InputError: another form.
    """
    out = []
    for text in texts:
        match = re.fullmatch(r"(\d{1,6}):(\d{1,18})(?:-(\d{1,18}))?", text.strip())
        if match is None:
            raise InputError(f"{text!r} names no offsets", hint="PARTITION:FIRST-LAST, such as 2:100-250.")
        first = int(match[2])
        out.append(OffsetRange(int(match[1]), first, int(match[3] or first)))
    return tuple(out)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _unreadable(text: str) -> InputError:
    return InputError(
        f"{text!r} is no time", hint="Such as 2026-03-01, 2026-03-01T12:00Z, 3d (ago), today, yesterday or now."
    )
