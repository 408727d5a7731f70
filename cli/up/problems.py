"""What is wrong with a stack, in words for the person who looks: what happened, what it means, where to look.

A problem makes the stack degraded; a note is over or harmless. Pure: everything is in the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator

from cli.up.snapshot import Figures, Process
from cli.up.trends import Trends
from cli.up.words import size, span

# Three times what a start asks for: time enough to do something.
_FREE_LOW_BYTES = 1 << 30
_FULL_SOON_S = 3_600.0
_DEAD_LETTERS_MANY = 0.05
# So long a fall that is over is still told.
_NOTE_S = 60.0


def find(
    processes: tuple[Process, ...], figures: Figures, trends: Trends, *, away: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems and notes, the most urgent first. `away` are the sources that do not answer."""
    of_streams = (*_paused(figures), *_lag(trends), *_dead_letters(trends))
    problems = [*_fallen(processes), *_away(away), *_disk(figures, trends), *of_streams]
    return tuple(problems), tuple(_recovered(processes))


def _fallen(processes: tuple[Process, ...]) -> Iterator[str]:
    for process in processes:
        if process.state in {"restarting", "starting"} and process.last_reason:
            again = (
                f"next start in {span(process.next_start_s)}"
                if process.next_start_s and process.next_start_s >= 1
                else "starting again"
            )
            falls = process.restarts + (process.state == "restarting")
            times = f" {falls} times" if falls > 1 else ""
            yield f"{process.name} fell{times}: {process.last_reason}. {again}; `sluice logs {process.name}` has more"
        elif process.state == "starting":
            yield f"{process.name} is starting"


def _recovered(processes: tuple[Process, ...]) -> Iterator[str]:
    for process in processes:
        if process.state == "ready" and process.fell_s is not None and process.fell_s < _NOTE_S:
            yield f"{process.name} fell {span(process.fell_s)} ago and runs again: {process.last_reason}"


def _away(away: tuple[str, ...]) -> Iterator[str]:
    for name in away:
        yield f"{name} does not answer; what it holds is shown as unknown"


def _paused(figures: Figures) -> Iterator[str]:
    if figures.streams_paused:
        told = figures.streams_paused
        yield f"the streams are {told}. Events wait in Kafka; `sluice streams status` has more, `resume` goes on"


def _disk(figures: Figures, trends: Trends) -> Iterator[str]:
    free, full_in_s = figures.disk_free_bytes, trends.disk_full_in_s()
    if free is None:
        return
    if full_in_s is not None and full_in_s < _FULL_SOON_S:
        yield f"the disk fills up: {size(free)} free, full in {span(full_in_s)} if it goes on like this"
    elif free < _FREE_LOW_BYTES:
        yield f"the disk is nearly full: {size(free)} free"


def _lag(trends: Trends) -> Iterator[str]:
    for figure, moves, who, log in (
        ("waiting_streams", ("curated", "duplicates", "dead_letters"), "streams", "streams"),
        ("waiting_sink", ("rows",), "the sink", "sink"),
    ):
        growing, stuck = trends.growing(figure), trends.stuck(figure, moves=moves)
        if growing is not None:
            yield f"{who} cannot keep up: {growing:,} events wait and it grows; more --workers may help"
        elif stuck is not None:
            yield f"{who} stands still: {stuck:,} events have been waiting for 30 s; `sluice logs {log}` says why"


def _dead_letters(trends: Trends) -> Iterator[str]:
    share = trends.dead_letter_share()
    if share is not None and share > _DEAD_LETTERS_MANY:
        yield f"{share:.0%} of the last minute's events broke their contract and are dead letters"
