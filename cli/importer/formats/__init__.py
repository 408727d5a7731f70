"""Log formats by name, and which one a file is in. Each parser has a file of its own; what they share is in `line`."""

from __future__ import annotations

from cli.importer.formats import caddy_json, combined, nginx_json, vhost
from cli.importer.formats.line import LogFormat, LogLine, MalformedLineError, Parser
from cli.importer.formats.w3c import W3cParser

AUTO = "auto"
# In the order in which they are tried. A common line is a combined one without its end, and both may stand in one
# file, so the two names are one parser. W3C is last: with few columns, almost anything is a line of it.
FORMATS = {
    format_.name: format_
    for format_ in (
        LogFormat("combined", lambda: combined.parse_line, b'"'),
        LogFormat("common", lambda: combined.parse_line, b'"'),
        LogFormat("vhost_combined", lambda: vhost.parse_line, b'"'),
        LogFormat("nginx-json", lambda: nginx_json.parse_line, b"}"),
        LogFormat("caddy-json", lambda: caddy_json.parse_line, b"}"),
        LogFormat("w3c", W3cParser, b"\n"),
    )
}


class Detector:
    """Finds the format by lines given in their order, until one of them can be read.

    `name` is that of the only format to be tried, or `auto`.
    """

    def __init__(self, name: str = AUTO) -> None:
        formats = FORMATS.values() if name == AUTO else [FORMATS[name]]
        self._candidates: list[tuple[LogFormat, Parser]] = [(format_, format_.new_parser()) for format_ in formats]

    def see(self, line: bytes) -> tuple[LogFormat, LogLine] | None:
        """The format in which `line` can be read, with what it says."""
        for format_, parse in self._candidates:
            try:
                parsed = parse(line)
            except MalformedLineError:
                continue
            if parsed is not None:
                return format_, parsed
        return None
