"""How `sluice streams status` puts the state of the streams."""

from __future__ import annotations

import msgspec

from cli.streams.report import as_object, lines
from cli.streams.state import Lag, StreamsState, WorkerAlert
from streams import pause
from streams.limits import Alert, Halt
from streams.pause import Pause

AT_MS = 1_700_000_000_000
ALERT = Alert("order:2", "ratio", 1_000, 60, 3, ["a", "b"], AT_MS, AT_MS)
LAG = [
    Lag("live", 0, 5, 1_006, 1_001),
    Lag("live", 1, 0, 0, 0),
    Lag("historic", 0, 7, 7, 0),
    Lag("historic", 1, 1, 31, 30),
]


def of(paused: Pause = Pause(), *alerts: WorkerAlert) -> StreamsState:  # noqa: B008 (frozen)
    return StreamsState(paused, list(alerts), LAG)


def test_all_is_well() -> None:
    assert list(lines(of())) == [
        "running",
        "no alerts on dead letters",
        "1,031 events wait",
        "  partition 0: 1,001 (offset 5 of 1,006)",
        "  partition 1: 0 (offset 0 of 0)",
        "  historic partition 1: 30 (offset 1 of 31)",
    ]


def test_alerts_of_all_workers_are_one_for_a_contract() -> None:
    run = msgspec.structs.replace(ALERT, reason="run", run=700, since_ms=AT_MS - 1_000, tenants=["b", "c\x1b"])
    unread = msgspec.structs.replace(ALERT, contract=":0", tenants=[])
    said = list(lines(of(Pause(), WorkerAlert("0", ALERT), WorkerAlert("0", unread), WorkerAlert("1", run))))
    assert said[1:6] == [
        "alerts on dead letters",
        "  order:2: 120 of 2,000 events within 5 minutes, 700 in a row, from a, b, c\\x1b",
        "    since 2023-11-14 22:13:19 UTC, on worker 0, 1",
        "  no contract: 60 of 1,000 events within 5 minutes",
        "    since 2023-11-14 22:13:20 UTC, on worker 0",
    ]


def test_a_halt_says_what_failed_for_whom() -> None:
    halt = Halt("order:2", 500, 400, ["a", "b", "c"])
    said = list(lines(of(pause.halted(halt, by="worker 1", at_ms=AT_MS, accepted=()))))
    assert said[:4] == [
        "halted since 2023-11-14 22:13:20 UTC by worker 1",
        "  order:2 was released within the hour and fails for several tenants:",
        "  400 of 500 events, from a, b, c",
        "  Events wait in the raw topic, nothing is lost. `sluice streams resume` goes on.",
    ]


def test_a_pause_by_hand_says_what_is_known_of_it() -> None:
    assert next(lines(of(Pause(paused=True)))) == "paused"
    assert list(lines(of(Pause(paused=True, reason="a\nb", by="ops"))))[:2] == ["paused by ops", "  a\\x0ab"]


def test_the_object_has_all_of_it() -> None:
    said = msgspec.json.decode(msgspec.json.encode(as_object(of(Pause(), WorkerAlert("0", ALERT)))))
    assert (said["paused"], said["pause"], said["waiting"]) == (False, None, 1_031)
    assert said["alerts"] == [{"worker": "0"} | msgspec.structs.asdict(ALERT)]
    assert said["partitions"][0] == {"lane": "live", "partition": 0, "committed": 5, "end": 1_006, "waiting": 1_001}
