r"""What the rollups must say about an access log, counted from the file alone.

This is the other side of a comparison, so it shares no code with what it checks: it imports nothing of ours, takes
lines apart in its own way, and holds everything in memory because that is easier to see through. The rules it counts
by are those of the documentation:

- A line in neither the common nor the combined format is malformed, and so is a last line that has no line end and
  no closing quote. All others are events.
- A page view is a GET of a path, answered with 2xx or 304, whose last segment has no extension or one of a page.
- Days are UTC. A visitor is a pair of address and user agent. Only page views count for pages, referrers and UTM.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

_TOP = 10
_Key = TypeVar("_Key", str, tuple[str, str, str])
_FIELD = r'"((?:\\.|[^"\\])*)"'
_BEGIN = re.compile(r'(\S+) \S+ ([^"]+|"") \[([^\]]*)\] ' + _FIELD + r" (\d\d\d) (\d+|-)", re.DOTALL)
_END = re.compile(" " + _FIELD + " " + _FIELD + r"( .*)?", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Recount:
    """Days are ISO dates. Lists are by count, highest first, then by name.

    `utm` counts (source, medium, campaign) of the request's own query, form-decoded, where at least one is given.
    """

    lines: int
    malformed: int
    events_by_day: dict[str, int]
    page_views_by_day: dict[str, int]
    visitors_by_day: dict[str, int]
    top_pages: list[tuple[str, int]]
    top_referrer_hosts: list[tuple[str, int]]
    utm: list[tuple[tuple[str, str, str], int]]

    @property
    def events(self) -> int:
        return self.lines - self.malformed

    @property
    def page_views(self) -> int:
        return sum(self.page_views_by_day.values())


@dataclass(frozen=True, slots=True)
class _Hit:
    address: str
    user_agent: str
    day: date
    request: str
    status: int
    referrer: str

    @property
    def target(self) -> str:
        words = self.request.split(" ")
        return " ".join(words[1:-1] if words[-1].startswith("HTTP/") else words[1:])

    @property
    def is_page_view(self) -> bool:
        succeeded = self.status // 100 == 2 or self.status == 304
        name = self.path.split("/")[-1].lower()
        page = "." not in name or name.endswith((".html", ".htm", ".php", ".asp", ".aspx", ".jsp"))
        return self.request.startswith("GET ") and succeeded and self.target.startswith("/") and page

    @property
    def path(self) -> str:
        return re.split("[?#]", self.target)[0]


def recount(path: Path) -> Recount:
    """Count the log at `path`, plain or gzip."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    lines = data.split(b"\n")
    whole = [True] * (len(lines) - 1) + [lines[-1].endswith(b'"')]
    if not lines[-1]:
        del lines[-1], whole[-1]
    hits = [
        hit for line, ended in zip(lines, whole, strict=True) if ended and (hit := _hit(line.rstrip(b"\r"))) is not None
    ]
    views = [hit for hit in hits if hit.is_page_view]
    visitors: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for view in views:
        visitors[view.day.isoformat()].add((view.address, view.user_agent))
    return Recount(
        lines=len(lines),
        malformed=len(lines) - len(hits),
        events_by_day=_by_day(hits),
        page_views_by_day=_by_day(views),
        visitors_by_day={day: len(members) for day, members in sorted(visitors.items())},
        top_pages=_ranked(Counter(view.path for view in views))[:_TOP],
        top_referrer_hosts=_ranked(Counter(filter(None, (_host(view.referrer) for view in views))))[:_TOP],
        utm=_ranked(Counter(utm for view in views if any(utm := _utm(view.target)))),
    )


def _hit(line: bytes) -> _Hit | None:
    # Latin-1 keeps one character for each byte until escapes are undone; only then is it read as UTF-8.
    text = line.decode("latin-1")
    begin = _BEGIN.match(text)
    if begin is None or begin[2].startswith("- "):
        return None
    rest = text[begin.end() :]
    end = _END.fullmatch(rest)
    if end is None and rest.strip(" "):
        return None
    try:
        at = datetime.strptime(begin[3], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    referrer, user_agent = (_plain(end[1]), _plain(end[2])) if end else ("", "")
    return _Hit(_utf8(begin[1]), user_agent, at.date(), _plain(begin[4]), int(begin[5]), referrer)


def _plain(field: str) -> str:
    if field == "-":
        return ""
    unescaped = re.sub(
        r'\\x([0-9a-fA-F]{2})|\\([nrtbfv"\\])',
        lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPES[match[2]],
        field,
    )
    return _utf8(unescaped)


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


def _host(referrer: str) -> str:
    try:
        return urlsplit(referrer).hostname or ""
    except ValueError:
        return ""


def _utm(target: str) -> tuple[str, str, str]:
    query = parse_qs(target.partition("?")[2].partition("#")[0])
    source, medium, campaign = (query.get(f"utm_{name}", [""])[0] for name in ("source", "medium", "campaign"))
    return source, medium, campaign


def _by_day(hits: list[_Hit]) -> dict[str, int]:
    return dict(sorted(Counter(hit.day.isoformat() for hit in hits).items()))


def _ranked(counts: Counter[_Key]) -> list[tuple[_Key, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
