"""A snapshot as lines of a terminal. Pure; every line fits the width, whatever the snapshot holds.

From 40 columns up. What does not fit is left out by importance: a narrow screen has fewer columns, a low one fewer
sections. Decides nothing about when it is drawn.
"""

from __future__ import annotations

import contextlib
import textwrap
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from rich.text import Text

from cli.up.snapshot import Figures, Process, Snapshot
from cli.up.words import UNKNOWN, count, rate, size, span

MIN_WIDTH = 40
_WIDE = 76
_PROBLEM_LINES = 3
_STYLES = {
    "healthy": "bold green",
    "degraded": "bold red",
    "starting": "bold yellow",
    "draining": "bold yellow",
    "ready": "green",
    "restarting": "red",
    "stopped": "dim",
}


def render(snapshot: Snapshot, *, width: int, height: int = 1_000, keys: bool = True) -> list[Text]:
    """The screen as lines. `keys` adds how to go on from a terminal that shows it live."""
    width = max(width, MIN_WIDTH)
    wide = width >= _WIDE
    sections = {
        "head": _head(snapshot, width),
        "processes": _processes(snapshot, wide=wide),
        "figures": _figures(snapshot, wide=wide) if snapshot.phase != "starting" else [],
        # Below what is always there: what comes and goes must not move the rest.
        "problems": _problems(snapshot, width),
        "addresses": _addresses(snapshot, wide=wide),
        "keys": [Text(_keys(snapshot, wide=wide), style="dim")] if keys else [],
    }
    # What is given up first where there is no room for all.
    spare: dict[str, list[Text]] = {"addresses": [], "keys": [], "figures": _brief_figures(snapshot)}
    for name, instead in spare.items():
        if _joined_height(sections.values()) > height and sections[name]:
            sections[name] = instead
    lines = [line for section in sections.values() if section for line in [*section, Text()]][:-1]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines[:height]


def _joined_height(sections: Iterable[list[Text]]) -> int:
    return sum(len(section) + 1 for section in sections if section) - 1


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    line = Text("Sluice", style="bold").append("  ").append(snapshot.health, style=_STYLES[snapshot.health])
    line.append(f"  up {span(snapshot.up_s)}", style="not bold")
    folder = _shortened(_clean(snapshot.state_dir), width - line.cell_len - 2)
    if folder:
        line.append(" " * (width - line.cell_len - len(folder))).append(folder, style="not bold dim")
    lines = [line]
    if snapshot.phase == "draining":
        lines.append(Text(_draining(snapshot.processes), style="yellow"))
    elif snapshot.step:
        lines.append(Text(f"{_clean(snapshot.step)} …", style="yellow"))
    return lines


def _draining(processes: tuple[Process, ...]) -> str:
    busy = [process.name for process in processes if process.state == "draining"]
    return f"draining: waiting for {', '.join(busy)}" if busy else "draining …"


def _shortened(path: str, room: int) -> str:
    """The path, or its end; nothing where not even its last part has room."""
    with contextlib.suppress(ValueError, RuntimeError):  # not below it, or there is none
        path = f"~/{Path(path).relative_to(Path.home())}"
    if len(path) <= room:
        return path
    last = f"…/{Path(path).name}"
    return last if len(last) <= room else ""


def _processes(snapshot: Snapshot, *, wide: bool) -> list[Text]:
    if not snapshot.processes:
        return []
    longest = min(14, max(len("process"), *(len(p.name) for p in snapshot.processes)))
    if wide:
        head = f"{'process':<{longest}}  {'state':<10}  {'pid':>7}  {'up':>8}  {'restarts':>8}  {'memory':>8}"
    else:
        head = f"{'process':<{longest}}  {'state':<10} {'up':>6} {'memory':>8}"
    lines = [Text(head, style="dim")]
    for process in snapshot.processes:
        up = span(process.up_s) if process.up_s is not None else ""
        memory = size(process.rss_bytes) if process.pid is not None else ""
        line = Text(f"{_clean(process.name)[:longest]:<{longest}}  ")
        line.append(f"{process.state:<10}", style=_STYLES.get(process.state, "yellow"))
        if wide:
            line.append(f"  {process.pid or '':>7}  {up:>8}  {process.restarts or '':>8}  {memory:>8}")
        else:
            line.append(f" {up:>6} {memory:>8}")
        lines.append(line)
    return lines


def _figures(snapshot: Snapshot, *, wide: bool) -> list[Text]:
    figures, rates = snapshot.figures, snapshot.rates
    rows = (
        ("received", figures.received, rates.received),
        ("curated", figures.curated, rates.curated),
        ("duplicates", figures.duplicates, rates.duplicates),
        ("dead letters", figures.dead_letters, rates.dead_letters),
        ("rows in table", figures.rows, rates.rows),
    )
    totals = []
    for name, total, per_second in rows:
        line = Text(f"{name:<13} {count(total):>13} {rate(per_second):>11}")
        if name == "dead letters" and total:
            line.stylize("yellow")
        totals.append(line)
    facts = _facts(snapshot, figures)
    if not wide:
        return [*totals, Text(), *facts]
    # Side by side: the facts are shorter and fewer.
    left = max(line.cell_len for line in totals) + 5
    merged = []
    for number, line in enumerate(totals):
        if number < len(facts):
            line.append(" " * (left - line.cell_len)).append_text(facts[number])
        merged.append(line)
    return merged


def _brief_figures(snapshot: Snapshot) -> list[Text]:
    figures = snapshot.figures
    waiting = f"{count(figures.waiting_streams)} + {count(figures.waiting_sink)}"
    return [
        Text(f"received {count(figures.received)}, rows {count(figures.rows)}, waiting {waiting}"),
        Text("table ").append_text(_freshness(snapshot)),
    ]


def _facts(snapshot: Snapshot, figures: Figures) -> list[Text]:
    disk = f"{size(figures.disk_used_bytes)} used, {size(figures.disk_free_bytes)} free"
    return [
        Text(f"waiting for streams {count(figures.waiting_streams):>9}"),
        Text(f"waiting for sink    {count(figures.waiting_sink):>9}"),
        Text("table     ").append_text(_freshness(snapshot)),
        Text(f"disk      {disk}"),
    ]


def _freshness(snapshot: Snapshot) -> Text:
    age = snapshot.freshness_s
    newest = "no rows yet" if snapshot.figures.rows == 0 else f"newest {UNKNOWN if age is None else f'{span(age)} old'}"
    if snapshot.caught_up:
        return Text("caught up", style="green").append(f", {newest}", style="default")
    return Text(newest)


def _addresses(snapshot: Snapshot, *, wide: bool) -> list[Text]:
    found = snapshot.addresses
    if found is None or snapshot.phase == "draining":
        return []
    rows = [
        ("collector", found.collector_url),
        ("ClickHouse", found.clickhouse_url),
        ("Kafka", found.kafka_bootstrap),
        *([("registry", found.registry_url)] if found.registry_url else []),
        ("key", f"{found.key_hint} in {Path(found.key_file).name}" if wide else found.key_hint),
    ]
    return [Text(f"{name:<10} ", style="dim").append(_clean(value), style="not dim") for name, value in rows]


def _problems(snapshot: Snapshot, width: int) -> list[Text]:
    lines = [line for text in snapshot.problems for line in _wrapped("! ", text, width, "red")]
    return lines + [line for text in snapshot.notes for line in _wrapped("· ", text, width, "yellow")]


def _wrapped(mark: str, text: str, width: int, style: str) -> list[Text]:
    found = textwrap.wrap(
        _clean(text),
        width,
        initial_indent=mark,
        subsequent_indent="  ",
        max_lines=_PROBLEM_LINES,
        placeholder=" …",
        break_on_hyphens=False,
    )
    return [Text(line, style=style) for line in found]


def _keys(snapshot: Snapshot, *, wide: bool) -> str:
    if snapshot.phase == "draining":
        return "Ctrl-C again ends at once"
    return "Ctrl-C stops it in order; elsewhere: sluice status, sluice logs -f" if wide else "Ctrl-C stops it in order"


def _clean(text: str) -> str:
    """Without what moves a cursor or has no width of its own: log lines of other programs are shown here."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
