"""Where to begin: `5m` ago, or at a moment. Says when, not at which offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

_AGO = re.compile(r"([0-9]{1,9})\s*(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
# What an offset-by-time lookup takes; also keeps a typing error from being read as a moment in year 9999.
_LAST_MS = 2**48


class Moment(click.ParamType):
    """A duration back from now (`30s`, `5m`, `2h`, `1d`), an RFC 3339 time, or epoch seconds or milliseconds."""

    name = "5m|TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return epoch_ms(str(value), now_ms=int(datetime.now(UTC).timestamp() * 1000))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def epoch_ms(text: str, *, now_ms: int) -> int:
    """The moment that `text` names. A time without an offset is UTC.

    Raises:
        ValueError: it names none, or one before 1970.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
    if text.isascii() and text.isdigit():
        number = int(text)
        moment = number if number >= 10**11 else number * 1000
    else:
        moment = _parsed(text)
    if not 0 <= moment <= _LAST_MS:
        raise ValueError(f"{text!r} is before 1970 or too far ahead")
    return moment


def _parsed(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a duration such as 5m nor a time such as 2026-01-31T12:00:00Z") from None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
