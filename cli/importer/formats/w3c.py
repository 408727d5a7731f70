"""W3C extended log format, as IIS writes it: a `#Fields:` line says which columns follow, in UTC.

    #Fields: date time c-ip cs-username cs-method cs-uri-stem cs-uri-query sc-status sc-bytes cs(User-Agent) cs(Referer)
    2015-05-17 10:05:03 1.2.3.4 - GET /path a=b 200 1234 Mozilla/5.0+(X11) http://example.org/

Needed are time, sc-status and cs-uri-stem (or cs-uri); a missing date is taken from `#Date:`. A new `#Fields:` line may
come at any point. In values `-` is unknown, and IIS writes `+` for a space in headers. `s-computername` and all other
columns are ignored; `cs-host` is the site.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from cli.importer.formats.line import LogLine, MalformedLineError, site_of


class W3cParser:
    """Holds what the directives of the file have said so far."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._date = ""

    def __call__(self, line: bytes) -> LogLine | None:
        """None for a directive.

        Raises:
            MalformedLineError: with the reason; "format" also before the first `#Fields:`.
        """
        if line.startswith(b"#"):
            self._direct(line.decode("utf-8", "replace"))
            return None
        values = [value.decode("utf-8", "replace") for value in line.split()]
        if not values or not self._columns or len(values) != len(self._columns):
            raise MalformedLineError("format" if line else "empty")
        return self._line({name: _known(value) for name, value in zip(self._columns, values, strict=True)})

    def _direct(self, text: str) -> None:
        name, _, value = text.partition(":")
        if name == "#Fields":
            self._columns = value.lower().split()
        elif name == "#Date":
            self._date = value.split()[0] if value.split() else ""

    def _line(self, fields: dict[str, str]) -> LogLine:
        get = fields.get
        status = get("sc-status", "")
        target = get("cs-uri") or get("cs-uri-stem", "")
        if not (status.isascii() and status.isdecimal()) or not get("time"):
            raise MalformedLineError("format")
        if query := get("cs-uri-query"):
            target = f"{target}?{query}"
        size = get("sc-bytes", "")
        return LogLine(
            get("c-ip", ""),
            "",
            get("cs-username", ""),
            _time(get("date") or self._date, fields["time"]),
            get("cs-method", ""),
            target,
            get("cs-version", ""),
            int(status),
            int(size) if size.isascii() and size.isdecimal() else 0,
            get("cs(referer)", ""),
            get("cs(user-agent)", "").replace("+", " "),
            site_of(get("cs-host", ""), scheme="https" if get("s-port") == "443" else ""),
        )


def _known(value: str) -> str:
    return "" if value == "-" else value


@lru_cache(maxsize=256)  # neighbouring lines share their second
def _time(date: str, time: str) -> datetime:
    try:
        at = datetime.fromisoformat(f"{date}T{time}")
    except ValueError:
        raise MalformedLineError("time") from None
    if at.tzinfo is not None:
        raise MalformedLineError("time")
    return at.replace(tzinfo=UTC)
