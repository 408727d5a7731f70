"""The status view, from made-up snapshots: whole screens at three widths, and that nothing ever leaves its line."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from cli.up.snapshot import Figures, Snapshot
from cli.up.view import render
from tests.up.snapshots import REASON, process, snapshot

TROUBLED = snapshot(
    processes=(
        process("kafka", pid=4001, rss_bytes=412 << 20),
        process("streams", state="restarting", pid=None, up_s=None, restarts=3, last_reason=REASON, next_start_s=3.0),
    ),
    problems=(f"streams fell 4 times: {REASON}. next start in 3 s; `sluice logs streams` has more",),
    notes=("sink fell 12 s ago and runs again: killed by SIGKILL",),
)


def screen(shown: Snapshot, *, width: int, height: int = 100) -> str:
    return "\n".join(line.plain.rstrip() for line in render(shown, width=width, height=height))


def test_80_columns() -> None:
    assert (
        screen(snapshot(), width=80)
        == """\
Sluice  healthy  up 3 min                                      /srv/shop/.sluice

process     state           pid        up  restarts    memory
kafka       ready          4001     3 min             412 MiB
clickhouse  ready          4002     3 min             1.5 GiB
sink        ready          4003     3 min              68 MiB
streams     ready          4004     3 min              68 MiB
collector   ready          4005       8 s         2    68 MiB
registry    ready          4006     3 min              68 MiB

received          1,234,567       812/s     waiting for streams        67
curated           1,230,000       810/s     waiting for sink           50
duplicates            4,000       2.2/s     table     newest 1 s old
dead letters            500         0/s     disk      143 MiB used, 51 GiB free
rows in table     1,229,950       805/s

collector  http://127.0.0.1:19001
ClickHouse http://127.0.0.1:19002
Kafka      127.0.0.1:19003
registry   http://127.0.0.1:19004
key        slc_live_abc… in endpoints.json

Ctrl-C stops it in order; elsewhere: sluice status, sluice logs -f"""
    )


def test_40_columns() -> None:
    assert (
        screen(snapshot(), width=40)
        == """\
Sluice  healthy  up 3 min      …/.sluice

process     state          up   memory
kafka       ready       3 min  412 MiB
clickhouse  ready       3 min  1.5 GiB
sink        ready       3 min   68 MiB
streams     ready       3 min   68 MiB
collector   ready         8 s   68 MiB
registry    ready       3 min   68 MiB

received          1,234,567       812/s
curated           1,230,000       810/s
duplicates            4,000       2.2/s
dead letters            500         0/s
rows in table     1,229,950       805/s

waiting for streams        67
waiting for sink           50
table     newest 1 s old
disk      143 MiB used, 51 GiB free

collector  http://127.0.0.1:19001
ClickHouse http://127.0.0.1:19002
Kafka      127.0.0.1:19003
registry   http://127.0.0.1:19004
key        slc_live_abc…

Ctrl-C stops it in order"""
    )


def test_a_crash_loop_at_40_columns() -> None:
    lines = screen(TROUBLED, width=40).splitlines()
    assert lines[0].startswith("Sluice  degraded")
    assert "streams  restarting" in lines
    assert lines[-13:-6] == [
        "! streams fell 4 times: exit code 70",
        "  (INTERNAL), after:",
        "  streams.batch_failed: …",
        "· sink fell 12 s ago and runs again:",
        "  killed by SIGKILL",
        "",
        "collector  http://127.0.0.1:19001",
    ]


def test_a_crash_loop_at_120_columns() -> None:
    text = screen(TROUBLED, width=120)
    assert re.search(r"^streams  restarting +3 *$", text, re.MULTILINE)
    assert f"! streams fell 4 times: {REASON}." in text.replace("\n ", "")
    assert "next start in 3 s; `sluice logs streams` has more" in text


def test_what_is_not_known_is_a_question_mark() -> None:
    text = screen(snapshot(figures=Figures(received=5, waiting_streams=0, waiting_sink=0)), width=80)
    assert "rows in table             ?" in text
    assert "caught up, newest ? old" not in text
    assert "caught up, newest ?" in text
    assert "? used, ? free" in text


def test_caught_up_and_no_rows_yet() -> None:
    assert "caught up, no rows yet" in screen(
        snapshot(figures=Figures(rows=0, waiting_streams=0, waiting_sink=0)), width=80
    )


def test_draining_says_what_it_waits_for() -> None:
    shown = snapshot(
        phase="draining",
        processes=(process("streams", state="draining"), process("collector", state="stopped", pid=None, up_s=None)),
    )
    lines = screen(shown, width=80).splitlines()
    assert lines[0].startswith("Sluice  draining")
    assert lines[1] == "draining: waiting for streams"
    assert lines[-1] == "Ctrl-C again ends at once"


def test_starting_shows_the_step_and_no_figures() -> None:
    text = screen(snapshot(phase="starting", step="fetching kafka", addresses=None), width=80)
    assert "fetching kafka …" in text
    assert "received" not in text


def test_a_low_screen_keeps_the_most_important() -> None:
    lines = screen(TROUBLED, width=80, height=12).splitlines()
    assert len(lines) <= 12
    assert any(line.startswith("! streams fell") for line in lines)
    assert any(line.startswith("received 1,234,567, rows 1,229,950, waiting 67 + 50") for line in lines)
    assert not any("http://" in line for line in lines)


def test_a_clock_set_back_makes_no_row_younger_than_now() -> None:
    ahead = Figures(rows=1, newest_row_at_ms=snapshot().at_ms + 3_600_000)
    assert "newest 0 s old" in screen(snapshot(figures=ahead), width=80)


any_count = st.none() | st.integers(0, 10**15)


@given(
    width=st.integers(40, 200),
    height=st.integers(3, 60),
    text=st.text(max_size=300),
    names=st.lists(st.text(min_size=1, max_size=30), max_size=9),
    figures=st.builds(
        Figures,
        received=any_count,
        rows=any_count,
        waiting_sink=any_count,
        newest_row_at_ms=any_count,
        disk_used_bytes=any_count,
    ),
    up_s=st.floats(0, 10**10),
)
def test_nothing_leaves_its_line(
    width: int, height: int, text: str, names: list[str], figures: Figures, up_s: float
) -> None:
    shown = snapshot(
        processes=tuple(process(name, up_s=up_s, pid=10**7) for name in names),
        figures=figures,
        problems=(text,),
        notes=(text,),
        step=text,
        up_s=up_s,
        state_dir=f"/{text}",
    )
    lines = render(shown, width=width, height=height)
    assert len(lines) <= height
    for line in lines:
        assert line.cell_len <= width
        assert line.plain.isprintable() or not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line.plain)
