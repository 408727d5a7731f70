"""Import of web servers' access logs: log lines become events, and the collector's answers become totals.

Reading the same log again, grown or rotated, gives the same event ids, so an import can be repeated at any time and is
resumed by running it again. What makes a repeated id harmless is decided downstream, not here.

    import_access_log   reads, maps, sends; what `sluice import access-log` and `sluice demo` call
    Mapping, Sending    its options
    Totals, Progress    what it says
"""

from __future__ import annotations

from cli.importer.access_log import import_access_log
from cli.importer.mapping import Consent, Mapping
from cli.importer.sender import Sending
from cli.importer.totals import Progress, Totals

__all__ = ["Consent", "Mapping", "Progress", "Sending", "Totals", "import_access_log"]
