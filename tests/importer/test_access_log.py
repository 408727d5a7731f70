"""Imports from end to end: files in, events at the collector and rejects in a file, totals that add up."""

from __future__ import annotations

import _thread
import gzip
import io
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.importer import Mapping, Progress, Sending, Totals, import_access_log
from cli.importer.source import LogSource
from core.errors import ConfigError, InputError, UnavailableError, UsageError

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, *, agent: str = "agent", seconds: int | None = None) -> bytes:
    at = START + timedelta(seconds=number if seconds is None else seconds)
    return f'1.2.3.4 - - [{at:%d/Jan/%Y:%H:%M:%S} +0000] "GET /{number} HTTP/1.1" 200 5 "-" "{agent}"\n'.encode()


class Import:
    """`import_access_log` with what every test gives it."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self.folder = folder
        self.rejects = folder / "rejects" / "log.jsonl"
        self._url, self._key = url, key

    def __call__(self, *files: str | Path, **options: Any) -> Totals:
        options.setdefault("rejects", self.rejects)
        totals = import_access_log(files, collector_url=self._url, key=self._key, **options)
        assert totals.lines == totals.accepted + totals.rejected + totals.consent_dropped + totals.already_stored
        assert sum(totals.reasons.values()) == totals.rejected
        return totals

    def write(self, name: str, *lines: bytes) -> Path:
        data = b"".join(lines)
        path = self.folder / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def read_rejects(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.rejects.read_text().splitlines()]


@pytest.fixture
def run(collector: Any, key: str, tmp_path: Path) -> Import:
    return Import(collector.url, key, tmp_path)


def ids(collector: Any) -> list[str]:
    return [event["event_id"] for event in collector.sent]


def test_plain_gzip_and_stdin_are_the_same(collector: Any, run: Import) -> None:
    lines = [line(number) for number in range(5)]
    for name in ("access.log", "access.log.gz"):
        run(run.write(name, *lines))
    run("-", stdin=io.BytesIO(b"".join(lines)), mapping=Mapping(source="access.log"))
    run("-", stdin=io.BytesIO(gzip.compress(b"".join(lines))), mapping=Mapping(source="access.log"))
    assert [collector.sent[n : n + 5] for n in (5, 10, 15)] == [collector.sent[:5]] * 3
    assert len(set(ids(collector))) == 5


def test_rotation_and_growth_change_nothing(collector: Any, run: Import) -> None:
    twins = [line(0), line(1), line(1), line(0), line(2), line(1)]
    run(run.write("access.log", *twins))
    whole = collector.sent[:]
    run(run.write("access.log", *twins[2:], line(3)), run.write("access.log.1.gz", *twins[:2]))
    assert collector.sent[6:-1] == whole
    assert len(set(ids(collector))) == 7


def test_files_are_read_oldest_first_and_empty_ones_are_fine(collector: Any, run: Import) -> None:
    files = [run.write("access.log"), run.write("b.log.1", line(50)), run.write("b.log.2.gz", b"bad\n", line(10))]
    assert run(*files).lines == 3
    assert [event["url"] for event in collector.sent] == ["/10", "/50"]


def test_sources_do_not_share_events(collector: Any, run: Import) -> None:
    run(run.write("a.log", line(1)), run.write("b.log", line(1)))
    assert len(set(ids(collector))) == 2
    assert len({event["visitor_id"] for event in collector.sent}) == 1


def test_malformed_lines_are_counted_and_told(collector: Any, run: Import) -> None:
    path = run.write("access.log", line(1), b"\n", b"nonsense \xff\n", line(2), b"x" * 200_000 + b"\n", line(3)[:-20])
    totals = run(path)
    assert (totals.lines, totals.accepted, totals.malformed, totals.sent) == (6, 2, 4, 2)
    assert totals.reasons == {
        "malformed.empty": 1, "malformed.format": 1, "malformed.too_long": 1, "malformed.unfinished": 1,
    }  # fmt: skip
    assert [(row["line"], row["code"], row["raw"][:12]) for row in run.read_rejects()] == [
        (2, "empty", ""), (3, "format", "nonsense \ufffd"), (5, "too_long", "x" * 12),
        (6, "unfinished", "1.2.3.4 - - "),
    ]  # fmt: skip
    assert {row["file"] for row in run.read_rejects()} == {str(path)}
    assert run.rejects.stat().st_mode & 0o077 == 0
    assert run.rejects.stat().st_size < 20_000


def test_a_line_that_was_unfinished_is_imported_once_it_is_whole(collector: Any, run: Import) -> None:
    common = line(1).split(b' "-"')[0]
    assert run(run.write("access.log", line(0), common[:-1])).reasons == {"malformed.unfinished": 1}
    assert run(run.write("access.log", line(0), common + b"0\n")).rejected == 0
    assert [event["properties"]["bytes"] for event in collector.sent] == [5, 5, 50]
    assert run(run.write("access.log", line(0), line(1).rstrip(b"\n"))).accepted == 2


def test_a_log_that_is_all_malformed_after_its_first_line(run: Import) -> None:
    totals = run(run.write("access.log", line(0), *[b"bad\n"] * 2_500))
    assert (totals.accepted, totals.malformed) == (1, 2_500)
    assert len(run.read_rejects()) == 2_500


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name,age\nbob,3\n", "no log"), (b"\x7fELF\0\0\x01" * 5_000, "binary"), (b"\n" * 1_000 + line(1), "first 1000")],
)
def test_what_is_no_log_is_refused_before_anything_is_sent(
    collector: Any, run: Import, content: bytes, message: str
) -> None:
    good = run.write("access.log", line(1))
    for name in ("other", "other.gz"):
        with pytest.raises(InputError, match=message):
            run(good, run.write(name, content))
    with pytest.raises(InputError, match=message):
        run("-", stdin=io.BytesIO(content))
    assert collector.requests == []
    assert run(run.write("late.log", b"\n" * 999, line(1))).accepted == 1


def test_a_file_that_breaks_off_is_imported_to_that_point(collector: Any, run: Import) -> None:
    whole = run.write("access.log.gz", *[line(n, agent=str(n * 7919)) for n in range(5_000)]).read_bytes()
    path = run.folder / "broken.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read to its end"):
        run(path, sending=Sending(batch_events=100))
    assert [event["url"] for event in collector.sent] == [f"/{n}" for n in range(len(collector.sent))]
    readable = iter(LogSource("", io.BytesIO(path.read_bytes()), size=None))
    assert [next(readable) for _ in collector.sent][-1].number > 1_000
    with pytest.raises(InputError):
        next(readable)  # all that could be read was sent


def test_refused_and_unconsented_events_are_counted_apart(collector: Any, run: Import, reply: Any) -> None:
    kinds = [
        {"verdict": "accepted"},
        {"verdict": "rejected", "code": "too_long", "field": "url", "message": "url is longer than 8192"},
        {"verdict": "consent_dropped"},
        {"verdict": "rejected"},
    ]
    collector.answer = lambda _: reply(200, kinds)
    totals = run(run.write("access.log", b"bad\n", *[line(n) for n in range(4)]))
    assert totals == Totals(
        lines=5, accepted=1, malformed=1, refused=2, consent_dropped=1,
        reasons={"malformed.format": 1, "refused.too_long": 1, "refused.unknown": 1},
    )  # fmt: skip
    row = run.read_rejects()[1]
    assert row.pop("raw") == line(1).decode().rstrip()
    assert row == {
        "file": str(run.folder / "access.log"), "line": 3, "reason": "refused", "code": "too_long", "field": "url",
        "message": "url is longer than 8192",
    }  # fmt: skip


def test_mapping_options_reach_the_events(collector: Any, run: Import) -> None:
    run(run.write("a.log", line(1)), mapping=Mapping(site="https://example.org", consent="denied", source="b.log"))
    run(run.write("b.log", line(1)))
    first, second = collector.sent
    assert (first["url"], first["consent_state"]) == ("https://example.org/1", "denied")
    assert first["event_id"] == second["event_id"]


def test_batches_are_bounded_by_events_and_by_bytes(collector: Any, run: Import) -> None:
    run(run.write("access.log", *[line(n) for n in range(25)]), sending=Sending(batch_events=10))
    assert [len(request["events"]) for request in collector.requests] == [10, 10, 5]
    long = [line(n).replace(b"GET /", b"GET /" + b"x" * 50_000) for n in range(60)]
    run(run.write("long.log", *long))
    assert max(collector.body_sizes) <= 1024 * 1024
    assert sum(len(request["events"]) for request in collector.requests[3:]) == 60
    assert len(collector.requests) - 3 == 4


def test_rejects_of_an_earlier_run_do_not_stay(run: Import) -> None:
    run(run.write("access.log", line(1), b"bad\n"))
    assert run.rejects.exists()
    run(run.write("access.log", line(1)))
    assert not run.rejects.exists()


def test_files_that_would_overwrite_or_double_are_refused(collector: Any, run: Import) -> None:
    path = run.write("access.log", line(1))
    with pytest.raises(UsageError, match="overwritten"):
        run(path, rejects=path)
    with pytest.raises(UsageError, match="twice"):
        run(path, run.folder / "." / "access.log")
    with pytest.raises(UsageError, match="twice"):
        run("-", "-", stdin=io.BytesIO(b""))
    assert path.read_bytes() == line(1)
    assert collector.requests == []


def test_progress_moves_to_the_end(run: Import) -> None:
    seen: list[Progress] = []
    paths = [run.write(f"{n}.log", *[line(n * 100 + m) for m in range(20)]) for n in range(2)]
    totals = run(*paths, sending=Sending(batch_events=8), on_progress=seen.append)
    assert [step.totals.lines for step in seen] == sorted(step.totals.lines for step in seen)
    assert seen[-1].totals.lines == totals.lines == 40
    assert seen[-1].bytes_read == seen[-1].bytes_total == sum(path.stat().st_size for path in paths)
    run("-", stdin=io.BytesIO(line(1)), on_progress=seen.append)
    assert seen[-1].bytes_total is None
    assert seen[-1].bytes_read == len(line(1))


def test_waiting_is_told(collector: Any, run: Import, reply: Any) -> None:
    seen: list[Progress] = []
    collector.script = [lambda _: reply(503, body=b'{"detail": "Kafka is away"}')]
    run(run.write("access.log", line(1)), on_progress=seen.append)
    assert [step.waiting for step in seen] == ["503 Kafka is away", "", ""]


def test_errors_of_sending_end_the_import(collector: Any, run: Import, reply: Any) -> None:
    path = run.write("access.log", *[line(n) for n in range(50)])
    collector.answer = lambda _: reply(401)
    with pytest.raises(ConfigError):
        run(path, sending=Sending(batch_events=1))
    assert len(collector.requests) == 1
    collector.answer = lambda _: reply(503)
    with pytest.raises(UnavailableError):
        run(path, sending=Sending(batch_events=1, max_wait=0.05))


def test_an_interrupted_import_finishes_its_request_and_continues_without_doubling(collector: Any, run: Import) -> None:
    path = run.write("access.log", b"bad\n", *[line(n) for n in range(50)])
    accept = collector.answer
    answered = threading.Event()

    def interrupt(events: list[dict[str, Any]]) -> Any:
        _thread.interrupt_main()
        answered.wait(0.2)  # the answer comes after the interruption
        return accept(events)

    collector.script = [accept, interrupt]
    totals = run(path, sending=Sending(batch_events=5))
    assert not totals.complete
    assert (totals.lines, totals.accepted, totals.malformed) == (10, 9, 1)
    assert len(collector.accepted) == totals.accepted

    assert run(path).accepted == 50
    assert len({event["event_id"] for event in collector.accepted}) == 50


def test_interrupted_while_the_collector_is_away(collector: Any, run: Import, reply: Any) -> None:
    def interrupt(_events: list[dict[str, Any]]) -> Any:
        _thread.interrupt_main()
        return reply(503, headers={"Retry-After": "60"})

    collector.answer = interrupt
    totals = run(run.write("access.log", line(1)))
    assert totals == Totals(complete=False)
