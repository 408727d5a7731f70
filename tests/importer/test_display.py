"""Progress on a terminal and elsewhere."""

from __future__ import annotations

import io
from typing import Any

import pytest

from cli.importer import Progress, Totals
from cli.importer.display import display
from core.clock import ManualClock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(lines: int, **options: Any) -> Progress:
    return Progress(Totals(lines=lines, accepted=lines), bytes_read=lines, bytes_total=2_000, **options)


def test_elsewhere_a_plain_line_every_five_seconds() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with display(stream, quiet=False, clock=clock) as show:
        assert show is not None
        for lines in range(0, 1_300, 100):  # one a second
            show(progress(lines))
            clock.advance(1.0)
    assert stream.getvalue().splitlines() == [
        "import: 500 lines, 100/s (25%, 0:00:15 left)",
        "import: 1,000 lines, 100/s (50%, 0:00:10 left)",
    ]


def test_a_plain_line_says_what_it_waits_for_and_no_share_of_a_stream() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with display(stream, quiet=False, clock=clock) as show:
        assert show is not None
        clock.advance(10.0)
        show(Progress(Totals(lines=5, accepted=5), 10, None, waiting="503 Kafka is away"))
    assert stream.getvalue() == "import: 5 lines, 0/s, waiting: 503 Kafka is away\n"


def resumed(lines: int) -> Progress:
    return Progress(Totals(lines=lines, accepted=lines, resumed=1_000), bytes_read=lines, bytes_total=2_000)


def test_a_resumed_import_begins_where_it_was_and_counts_its_own_speed() -> None:
    stream, clock = io.StringIO(), ManualClock()
    with display(stream, quiet=False, clock=clock) as show:
        assert show is not None
        show(resumed(1_000))
        clock.advance(10.0)
        show(resumed(1_500))
    assert stream.getvalue() == "import: 1,500 lines, 50/s (75%, 0:00:10 left)\n"


def test_the_bar_of_a_resumed_import_begins_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with display(stream, quiet=False, clock=ManualClock()) as show:
        assert show is not None
        show(resumed(1_000))
    assert "50%" in stream.getvalue()
    assert "0%" not in stream.getvalue().replace("50%", "")


@pytest.mark.parametrize("total", [2_000, None])
def test_on_a_terminal_a_bar_with_rate(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream, clock = Terminal(), ManualClock()
    with display(stream, quiet=False, clock=clock) as show:
        assert show is not None
        clock.advance(10.0)
        show(Progress(Totals(lines=1_000, accepted=1_000), 1_000, total, waiting="503 [Kafka] is away"))
        show(Progress(Totals(lines=1_000, accepted=1_000), 1_000, total))
    shown = stream.getvalue()
    assert "1,000 lines, 100/s" in shown
    assert ("50%" in shown) == (total is not None)


def test_quiet_shows_nothing() -> None:
    stream = Terminal()
    with display(stream, quiet=True) as show:
        assert show is None
    assert stream.getvalue() == ""
