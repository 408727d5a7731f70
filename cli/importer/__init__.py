"""Import of what happened earlier: access logs and files of events become events, the collector's answers totals.

Reading the same file again, grown or rotated, gives the same event ids, so an import can be repeated at any time. One
that was cut off goes on where it was. What makes a repeated id harmless is decided downstream, not here; `warehouse`
finds out those that are stored already.

    import_access_log   reads, maps, sends; what `sluice import access-log` and `sluice demo` call
    import_events       the same for events as JSON lines; what `sluice import events` calls
    Mapping, Sending    options of reading and of sending
    Continuity          where checkpoints are kept
    Totals, Progress    what an import says
"""

from __future__ import annotations

from cli.importer.access_log import import_access_log
from cli.importer.events import import_events
from cli.importer.job import Continuity
from cli.importer.mapping import Consent, Mapping
from cli.importer.sender import Sending
from cli.importer.totals import Progress, Totals

__all__ = [
    "Consent",
    "Continuity",
    "Mapping",
    "Progress",
    "Sending",
    "Totals",
    "import_access_log",
    "import_events",
]
