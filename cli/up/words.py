"""Quantities as people read them. Coarse on purpose: a figure that changes every second is never at rest."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
UNKNOWN = "?"


def span(seconds: float) -> str:
    """`8 s`, `3 min`, `2 h 05`, `4 d 3 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02}"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def size(amount: int | None) -> str:
    """`412 MiB`, `1.4 GiB`."""
    if amount is None:
        return UNKNOWN
    value = float(amount)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.1f} {unit}" if value < 10 and unit not in {"B", "KiB", "MiB"} else f"{value:.0f} {unit}"


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def rate(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}/s" if number >= 10 or number == 0 else f"{number:.1f}/s"


def key_hint(key: str) -> str:
    """Enough to tell keys apart, not enough to use one."""
    return f"{key[:12]}…"
