r"""Apache's `vhost_combined`, the default of Debian's other_vhosts_access.log: the host, then a combined line.

example.org:443 host ident user [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 1234 "referrer" "user agent"
"""

from __future__ import annotations

from cli.importer.formats.combined import parse_line as parse_combined
from cli.importer.formats.line import LogLine, MalformedLineError, site_of


def parse_line(line: bytes) -> LogLine:
    """
    Raises:
        MalformedLineError: with the reason.
    """
    host, space, rest = line.partition(b" ")
    if not (host and space):
        raise MalformedLineError("format" if line else "empty")
    return parse_combined(rest)._replace(site=site_of(host.decode("utf-8", "replace")))
