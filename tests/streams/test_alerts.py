"""What becomes of decisions on dead letters: entries of the control topic, and what workers make of those."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from core.clock import ManualClock
from core.errors import InputError, UnavailableError
from core.settings import Settings
from schemas import released
from schemas.contracts import Contracts, bundled_contracts
from schemas.registry import bundled
from schemas.released import Released
from streams import alerts, control, pause
from streams.alerts import DeadLetterWatch
from streams.batch import RawRecord, process
from streams.engine import StreamEngine
from streams.limits import MIN_EVENTS, Halt
from streams.pause import PAUSE_KEY, Pause
from streams.window import DedupeWindow
from tests.streams.raw_events import ARRIVAL_MS, raw_value

SETTINGS = Settings(
    kafka_bootstrap="127.0.0.1:1",
    topic_prefix="t.",
    streams_worker_id="7",
    dead_letter_halt=True,
    dead_letter_run=9_999,
)
LABEL = "page_view:1"
OWN_KEY = "streams/alerts/7"


class Topic:
    """The control topic, as far as it is written to."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes | None] = {}
        self.puts = 0
        self.away = False

    def put(self, _settings: Settings, entries: dict[str, bytes | None]) -> None:
        self.puts += 1
        if self.away:
            raise UnavailableError("away")
        self.entries |= entries


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic()
    monkeypatch.setattr("core.control.put", made.put)
    return made


class Worker:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.watch = DeadLetterWatch(SETTINGS, clock=self.clock)
        self.offset = 0

    def handle(self, *, good: int = 0, bad: int = 0, tenants: tuple[str, ...] = ("a",), at_s: int = 0) -> None:
        """A committed batch of good and bad events of each tenant."""
        values = [
            raw_value(event_id=f"{tenant}-{kind}-{i}", envelope={"tenant": tenant}, properties={"status": status})
            for tenant in tenants
            for kind, number, status in (("good", good, 200), ("bad", bad, "x"))
            for i in range(number)
        ]
        records = [RawRecord(self.offset + i, ARRIVAL_MS + at_s * 1000, b"k", v) for i, v in enumerate(values)]
        self.offset += len(records)
        window = DedupeWindow(max_age_ms=1, max_ids=10)
        self.watch.after({0: records}, [process(0, records, window=window, contracts=bundled_contracts())])


def gauge_of(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_an_alert_stands_under_the_workers_key_until_it_is_cleared(topic: Topic) -> None:
    worker = Worker()
    worker.handle(good=200)
    assert topic.puts == 0, "a healthy worker writes nothing"
    worker.handle(bad=20)
    stored = topic.entries[OWN_KEY]
    assert stored is not None
    [alert] = alerts.decode(stored)
    assert (alert.contract, alert.judged, alert.dead_letters, alert.tenants) == (LABEL, 220, 20, ["a"])
    assert gauge_of("sluice_streams_dead_letter_alert", contract=LABEL) == 1
    worker.handle(bad=20)
    assert topic.puts == 1, "what stands is not written again"
    worker.handle(good=5_000, at_s=70)
    assert topic.entries[OWN_KEY] is None
    assert gauge_of("sluice_streams_dead_letter_alert", contract=LABEL) == 0


def test_dead_letters_are_counted_by_contract(topic: Topic) -> None:
    before = gauge_of("sluice_streams_dead_letters_total", contract=LABEL) or 0.0
    Worker().handle(good=3, bad=2)
    assert gauge_of("sluice_streams_dead_letters_total", contract=LABEL) == before + 2


def test_what_kafka_does_not_take_costs_no_event_and_is_written_later(topic: Topic) -> None:
    worker = Worker()
    topic.away = True
    worker.handle(bad=MIN_EVENTS)
    assert not topic.entries
    topic.away = False
    worker.handle(good=1)
    assert topic.puts == 1, "not with each batch: it may take long to fail"
    worker.clock.advance(60)
    worker.handle(good=1)
    assert topic.entries[OWN_KEY]


def test_a_killed_predecessors_alerts_go_with_the_first_batch(topic: Topic) -> None:
    worker = Worker()
    worker.watch.stored(b"[]")
    worker.handle(good=1)
    assert topic.entries == {OWN_KEY: None}
    worker.handle(good=1)
    assert topic.puts == 1


def test_a_worker_that_leaves_takes_its_alerts_along(topic: Topic) -> None:
    worker = Worker()
    worker.watch.close()
    assert topic.puts == 0
    worker.handle(bad=MIN_EVENTS)
    worker.watch.close()
    assert topic.entries == {OWN_KEY: None}


def test_a_halt_pauses_all_and_says_why(topic: Topic) -> None:
    worker = Worker()
    worker.watch.released(LABEL, ARRIVAL_MS)
    worker.handle(bad=40, tenants=("a", "b", "c"))
    told = pause.decode(topic.entries[PAUSE_KEY])
    assert told.paused
    assert told.halt == Halt(LABEL, 120, 120, ["a", "b", "c"])
    assert (told.by, told.reason) == ("worker 7", f"{LABEL} fails for a, b, c")
    assert told.at_ms == worker.clock.now_ms()
    worker.handle(bad=40, tenants=("a", "b", "c"))
    worker.watch.paused(told)
    worker.handle(bad=40, tenants=("a", "b", "c"))
    assert topic.puts == 1, "once: batches that were under way do not halt again"

    worker.watch.paused(pause.resumed(told, by="ops"))
    worker.handle(bad=40, tenants=("a", "b", "c"))
    assert topic.puts == 1, "an operator went on with it"


def test_a_halt_that_was_not_stored_is_tried_again(topic: Topic) -> None:
    worker = Worker()
    worker.watch.released(LABEL, ARRIVAL_MS)
    topic.away = True
    worker.handle(bad=40, tenants=("a", "b", "c"))
    topic.away = False
    worker.clock.advance(60)
    worker.handle(good=1)
    assert pause.decode(topic.entries[PAUSE_KEY]).paused


def test_what_is_accepted_is_kept_over_pauses_and_bounded() -> None:
    told = Pause()
    for number in range(40):
        halt = Halt(f"c:{number}", 1, 1, ["a"])
        told = pause.resumed(pause.halted(halt, by="w", at_ms=1, accepted=told.accepted), by="ops")
    assert not told.paused
    assert told.accepted == tuple(f"c:{number}" for number in range(24, 40))


def test_a_pause_by_hand_needs_no_more_than_the_word() -> None:
    assert pause.decode(b'{"paused": true}') == Pause(paused=True)
    assert pause.decode(None) == Pause()
    assert msgspec.json.encode(Pause(paused=True)) == b'{"paused":true}'


def test_what_is_no_list_of_alerts_is_refused() -> None:
    with pytest.raises(InputError):
        alerts.decode(b'{"a": 1}')


# -- what a worker makes of the topic


class Follower:
    stored_at_ms = ARRIVAL_MS

    def __init__(self, _settings: Settings, _handler: Any, *, name: str) -> None: ...


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> StreamEngine:
    monkeypatch.setattr(control, "ControlFollower", Follower)
    return StreamEngine(SETTINGS, contracts=bundled_contracts())


def test_a_worker_hears_of_pauses_and_keeps_what_was_in_force_if_it_cannot_read_them(engine: StreamEngine) -> None:
    worker = control.WorkerControl(SETTINGS, engine, bundled())
    worker.take(PAUSE_KEY, b'{"paused": true}')
    assert gauge_of("sluice_streams_paused") == 1
    worker.take(PAUSE_KEY, b'{"paused": "maybe"}')
    assert engine._intake._paused
    worker.take(PAUSE_KEY, None)
    assert not engine._intake._paused
    assert gauge_of("sluice_streams_paused") == 0


def test_a_release_is_on_probation_from_when_it_was_stored(
    engine: StreamEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = control.WorkerControl(SETTINGS, engine, bundled())
    heard: list[tuple[str, int]] = []
    monkeypatch.setattr(engine.dead_letters, "released", lambda *release: heard.append(release))
    first = Released("x", 1, 901, {"name": "X"})
    worker.take(first.key, released.encode(first))
    worker.take(first.key, released.encode(first))
    assert heard == [("x:1", ARRIVAL_MS)], "said again is not released again"
    led = msgspec.structs.replace(first, source={"name": "X", "supersededBy": 2})
    monkeypatch.setattr(Follower, "stored_at_ms", ARRIVAL_MS + 5)
    worker.take(led.key, released.encode(led))
    assert heard[1:] == [("x:1", ARRIVAL_MS + 5), ("x:2", ARRIVAL_MS + 5)], "its events are judged by the other now"


def test_a_worker_hears_what_stands_under_its_own_key_only(engine: StreamEngine) -> None:
    worker = control.WorkerControl(SETTINGS, engine, bundled())
    worker.take("streams/alerts/8", b"[]")
    assert engine.dead_letters._stored is None
    worker.take(OWN_KEY, b"[]")
    assert engine.dead_letters._stored == b"[]"


def release(name: str, version: int, id_: int, **changed: Any) -> Released:
    source = bundled().get("page_view", 1).source
    return Released(name, version, id_, source | {"name": name.title().replace("_", "")} | changed)


def test_a_release_that_cannot_be_used_keeps_no_other_one_back(
    engine: StreamEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = control.WorkerControl(SETTINGS, engine, bundled())
    used: list[Contracts] = []
    monkeypatch.setattr(engine, "use", used.append)
    monkeypatch.setattr(worker._follower, "poll", lambda: None, raising=False)

    def told(*releases: Released) -> list[str]:
        for each in releases:
            worker.take(each.key, released.encode(each))
        worker.poll()
        return sorted(each.label for each in worker._in_force.values())

    bad, good = release("broken", 1, 901, fields=[{"name": "x", "type": "nonsense"}]), release("sound", 1, 902)
    assert told(bad, good) == ["sound:1"]
    assert len(used) == 1
    assert gauge_of("sluice_streams_contract_refused", contract="broken:1") == 1
    later = release("later", 1, 903)
    assert told(later) == ["later:1", "sound:1"], "also behind a bad one"
    mended = release("broken", 1, 901)
    assert told(mended) == ["broken:1", "later:1", "sound:1"]
    assert gauge_of("sluice_streams_contract_refused", contract="broken:1") == 0
