"""One line an event. On a terminal aligned, coloured and never wider than it; elsewhere whole, for `grep`.

The reasons of a dead letter stand in its line where they fit, else on lines of their own: a reason that is cut off is
none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import click
from rich.cells import cell_len

from cli.tail.safe_text import column, cut, json_line, shown, wrapped
from cli.tail.sighting import Sighting
from schemas.faults import Fault

_WORDS = {"curated": "curated", "duplicate": "duplicate", "dead_letter": "dead-letter"}
_COLOURS = {"curated": "green", "duplicate": "yellow", "dead_letter": "red"}
_TIME, _OUTCOME, _ID = 8, 11, 8
# (from how many columns on, cells of tenant, event, id and visitor): what is left is the detail's.
_LAYOUTS = ((120, 12, 20, _ID, _ID), (72, 6, 12, _ID, _ID), (48, 0, 12, 0, 0), (0, 0, 18, 0, 0))
# Less of an address says nothing.
_LEAST_DETAIL = 10
_INDENT = "  "


def reason(fault: Fault) -> str:
    """Code, path, expected and got, in words."""
    return shown(f"{fault.code} at {fault}")


def as_json(sighting: Sighting) -> str:
    return json_line(sighting.document())


def as_line(sighting: Sighting) -> str:
    """Everything, for a file or a pipe."""
    detail = "; ".join(map(reason, sighting.faults)) or _detail(sighting)
    texts = (
        f"{_time(sighting, form='%Y-%m-%dT%H:%M:%S')}Z {_WORDS[sighting.outcome]:{_OUTCOME}}",
        *(shown(text) or "-" for text in (sighting.tenant, sighting.label, sighting.event_id)),
        *(shown(sighting.text("visitor_id")) or "-", detail),
    )
    return " ".join(texts).rstrip()


@dataclass(frozen=True, slots=True)
class TerminalLines:
    """Lines of at most `width` cells."""

    width: int

    def __call__(self, sighting: Sighting) -> str:
        _, tenant, event, event_id, visitor = next(layout for layout in _LAYOUTS if self.width >= layout[0])
        columns = (
            (sighting.tenant, tenant),
            (sighting.label, event),
            # The first characters alone, to be copied: an ellipsis would cost one and be copied too.
            (sighting.event_id[:event_id], event_id),
            (sighting.text("visitor_id")[:visitor], visitor),
        )
        outcome = click.style(column(_WORDS[sighting.outcome], width=_OUTCOME), fg=_COLOURS[sighting.outcome])
        # The last column of a terminal stays free: some go to the next line when it is written to.
        room = self.width - 1 - (_TIME + 1 + _OUTCOME + 1)
        middle = " ".join(column(shown(text) or "-", width=width) for text, width in columns if width)
        middle = cut(middle, width=max(0, room))
        room -= cell_len(middle) + 1
        reasons = list(map(reason, sighting.faults))
        together = "; ".join(reasons)
        detail = together if reasons and cell_len(together) <= room else _detail(sighting)
        visible = cut(detail, width=room) if room >= _LEAST_DETAIL else ""
        head = f"{_time(sighting, form='%H:%M:%S')} {outcome} {middle} {visible}".rstrip()
        return head if not reasons or detail == together else "\n".join([head, *self._own_lines(reasons)])

    def _own_lines(self, reasons: list[str]) -> list[str]:
        lines = [line for text in reasons for line in wrapped(text, width=self.width - 1, indent=_INDENT)]
        return [click.style(line, fg="red", dim=True) for line in lines]


def _detail(sighting: Sighting) -> str:
    """What tells events of one kind apart: where it happened, else what it says."""
    if url := sighting.text("url"):
        return shown(url.removeprefix("https://").removeprefix("http://"))
    properties = sighting.fields.get("properties") or sighting.fields.get("extra")
    return json_line(properties) if properties else ""


def _time(sighting: Sighting, *, form: str) -> str:
    return datetime.fromtimestamp(sighting.arrival_ms / 1000, UTC).strftime(form)
