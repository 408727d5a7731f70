"""The promise of a 2xx, over a Kafka that does as told and a real spool: what has a receipt arrives, in its order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

import collector.durable
from collector.durable import DurablePublisher, Mode
from collector.publisher import Failure, Fate, Record
from collector.spool.spool import Spool
from core.settings import Settings
from core.topics import MAX_RAW_MESSAGE_BYTES
from tests.collector.scripted_kafka import ScriptedKafka
from tests.collector.spool.disks import ENOSPC, FailingDisk

Result = TypeVar("Result")
Use = Callable[[DurablePublisher, ScriptedKafka], Awaitable[Result]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector.durable, "PROBE_S", 0.01)
    monkeypatch.setattr(collector.durable, "LOOK_S", 0.05)
    monkeypatch.setattr(collector.durable, "START_GRACE_S", 0.1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(spool_dir=str(tmp_path / "spool"), spool_drain_rate=1_000_000)


def record(number: int, *, key: str = "demo|v") -> Record:
    return Record(key.encode(), b"%d" % number)


def run(settings: Settings, use: Use[Result], *, up: bool = True, disk: FailingDisk | None = None) -> Result:
    """`use` a publisher that is ready, and close it."""

    async def inside() -> Result:
        kafka = ScriptedKafka(up=up)
        publisher = DurablePublisher(settings, kafka=kafka.as_publisher(), spool=Spool(settings, disk=disk))
        await publisher.start()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(publisher.wait_usable(), 0.3)
            return await use(publisher, kafka)
        finally:
            await publisher.close()

    return asyncio.run(inside())


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 (the end of it is what is tested)
            await asyncio.sleep(0.005)


def kinds(fates: Sequence[Fate]) -> list[str]:
    return [fate.value if isinstance(fate, Failure) else fate.split("-")[0] for fate in fates]


def files(settings: Settings) -> list[Path]:
    return [path for path in Path(settings.spool_dir).rglob("*") if path.is_file() and path.name != "lock"]


def test_kafka_comes_first(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        fates = await publisher.publish([record(1), record(2)])
        return kinds(fates), kafka.values, publisher.detail()

    fates, values, detail = run(settings, use)
    assert (fates, values) == (["raw", "raw"], [b"1", b"2"])
    assert detail["kafka"] == "ok"
    assert detail["spool"] == {"state": "ok", "mode": "direct", "records": 0, "bytes": 0}
    assert list(Path(settings.spool_dir).iterdir()) == [], "an empty folder is not left behind"


def test_what_kafka_does_not_acknowledge_is_spooled_and_the_next_does_not_wait(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await until(lambda: publisher._mode is Mode.DIRECT)
        kafka.up = False
        first = await publisher.publish([record(1), record(2)])
        calls = kafka.calls
        later = [await publisher.publish([record(number)]) for number in range(3, 6)]
        assert kafka.calls == calls, "nobody else waits for a Kafka that is away"
        held = publisher.detail()
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        after = await publisher.publish([record(6)])
        return [*first, *(fate for [fate] in later), *after], held, kafka.values

    fates, held, values = run(settings, use)
    assert kinds(fates) == ["spool"] * 5 + ["raw"]
    assert len(set(fates)) == 6
    assert held["kafka"].startswith("Kafka did") or held["kafka"].startswith("Kafka does not")
    assert (held["spool"]["mode"], held["spool"]["records"]) == ("spooling", 5)
    assert values == [b"%d" % number for number in range(1, 7)]
    assert files(settings) == []


def test_those_that_wait_when_the_first_has_waited_too_long_wait_no_longer(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await until(lambda: publisher._mode is Mode.DIRECT)
        kafka.up, kafka.ack_timeout_s = False, 0.2
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(publisher.publish([record(1)]))
        await asyncio.sleep(0.15)
        kafka.ack_timeout_s = 60
        began = loop.time()
        second = await publisher.publish([record(2)])
        await first
        return kinds([*await first, *second]), loop.time() - began

    fates, took = run(settings, use)
    assert fates == ["spool", "spool"]
    assert took < 2


def test_it_starts_without_kafka(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        assert publisher.trouble() == ""
        fates = await publisher.publish([record(1)])
        assert kafka.calls == 0
        return kinds(fates)

    assert run(settings, use, up=False) == ["spool"]
    assert len(files(settings)) == 1


def test_a_restart_drains_what_was_left_before_anything_new(settings: Settings) -> None:
    async def leave(publisher: DurablePublisher, _: ScriptedKafka) -> Any:
        return [await publisher.publish([record(number)]) for number in range(50)]

    run(settings, leave, up=False)

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        for number in range(50, 60):
            await publisher.publish([record(number)])
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        return kafka.values

    assert run(settings, use, up=False) == [b"%d" % number for number in range(60)]
    assert list(Path(settings.spool_dir).iterdir()) == []


def test_what_a_neighbour_leaves_is_adopted_while_running(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await until(lambda: publisher._mode is Mode.DIRECT)
        neighbour = Spool(settings)
        await neighbour.open()
        await neighbour.store([record(1), record(2)])
        await neighbour.close()
        await until(lambda: len(kafka.log) == 2)
        return kafka.values

    assert run(settings, use) == [b"1", b"2"]


def test_without_spool_and_kafka_the_answer_is_retry(settings: Settings) -> None:
    from dataclasses import replace

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        before = publisher.trouble(), kinds(await publisher.publish([record(1)])), kafka.calls
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        return before, publisher.trouble(), kinds(await publisher.publish([record(2)]))

    (trouble, fates, calls), healed, after = run(replace(settings, spool_max_mib=0), use, up=False)
    assert trouble == "Kafka does not answer: it is away; the spool is turned off"
    assert (fates, calls) == (["retry"], 0)
    assert (healed, after) == ("", ["raw"])


def test_a_full_disk_is_answered_and_recovers(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    disk = FailingDisk()

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        disk.fail["write"] = ENOSPC
        first = await publisher.publish([record(1)])
        again = await publisher.publish([record(1)])
        trouble = publisher.trouble()
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        return kinds([*first, *again, *await publisher.publish([record(2)])]), trouble, kafka.values

    fates, trouble, values = run(settings, use, up=False, disk=disk)
    assert fates == ["retry", "retry", "raw"]
    assert "No space left on device" in trouble
    assert values == [b"2"]
    assert "spool.trouble" in caplog.text
    caplog.clear()


def test_a_folder_that_cannot_be_made_leaves_kafka(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await until(lambda: publisher._mode is Mode.DIRECT)
        direct = kinds(await publisher.publish([record(1)]))
        kafka.up = False
        lost = kinds(await publisher.publish([record(2)]))
        return direct, lost, publisher.trouble()

    direct, lost, trouble = run(settings, use)
    assert (direct, lost) == (["raw"], ["retry"])
    assert str(tmp_path / "spool") in trouble


def test_what_kafka_will_never_take_is_not_spooled(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, _: ScriptedKafka) -> Any:
        huge = Record(b"k", b"x" * MAX_RAW_MESSAGE_BYTES)
        return kinds(await publisher.publish([record(1), huge, record(2)]))

    assert run(settings, use, up=False) == ["spool", "too_large", "spool"]


def test_a_refused_record_is_set_aside_and_blocks_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await publisher.publish([record(number) for number in range(10)])
        kafka.refuse, kafka.refuse_together = {b"4"}, {b"7"}
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        return kafka.values

    values = run(settings, use, up=False)
    assert sorted(values) == [b"%d" % number for number in range(10) if number != 4]
    [aside] = files(settings)
    assert "set_aside" in aside.parts
    assert b"Kafka refused it for its size" in aside.read_bytes()
    assert "spool.set_aside" in caplog.text
    caplog.clear()


def test_what_arrived_without_an_acknowledgement_is_only_doubled(settings: Settings) -> None:
    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        await until(lambda: publisher._mode is Mode.DIRECT)
        kafka.up, kafka.swallows = False, True
        await publisher.publish([record(1), record(2)])
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        return kafka.values

    assert run(settings, use) == [b"1", b"2", b"1", b"2"]


@pytest.mark.parametrize("seed", range(6))
def test_order_and_completeness_through_any_outage(settings: Settings, seed: int) -> None:
    """Clients that send one request after the other, while Kafka comes and goes: of each, everything that got a receipt
    arrives, and what arrives first arrives in order.
    """
    random_ = random.Random(seed)
    clients, done = 12, asyncio.Event

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        kafka.delay_s, kafka.ack_timeout_s = 0.002, 0.03
        finished = done()

        async def send(client: int) -> int:
            number = 0
            while not finished.is_set() or number % 2:
                fates = await publisher.publish(
                    [record(number, key=f"demo|{client}"), record(number + 1, key=f"demo|{client}")]
                )
                assert Failure.RETRY not in fates
                number += 2
                await asyncio.sleep(0)
            return number

        tasks = [asyncio.create_task(send(client)) for client in range(clients)]
        for _ in range(6):
            await asyncio.sleep(random_.uniform(0.01, 0.15))
            kafka.up, kafka.swallows = not kafka.up, random_.random() < 0.3
        kafka.up = True
        await until(lambda: publisher._mode is Mode.DIRECT)
        await asyncio.sleep(0.02)
        finished.set()
        sent = await asyncio.gather(*tasks)
        return sent, kafka.log

    sent, arrived = run(settings, use)
    for client, count in enumerate(sent):
        first: list[int] = []
        for key, value, *_ in arrived:
            if key == f"demo|{client}".encode() and int(value) not in first:
                first.append(int(value))
        assert first == list(range(count))
    assert files(settings) == []


def test_the_spool_is_left_within_a_moment_under_load(settings: Settings) -> None:
    """New requests keep coming: without a hand-over, something would always be in the spool."""

    async def use(publisher: DurablePublisher, kafka: ScriptedKafka) -> Any:
        loop = asyncio.get_running_loop()
        longest = 0.0
        stop = asyncio.Event()

        async def send() -> None:
            nonlocal longest
            while not stop.is_set():
                began = loop.time()
                await publisher.publish([record(0)])
                longest = max(longest, loop.time() - began)

        tasks = [asyncio.create_task(send()) for _ in range(50)]
        await asyncio.sleep(0.3)
        kafka.up, kafka.delay_s = True, 0.001
        began = loop.time()
        await until(lambda: publisher._mode is Mode.DIRECT)
        took = loop.time() - began
        stop.set()
        await asyncio.gather(*tasks)
        return took, longest

    took, longest = run(settings, use, up=False)
    assert took < 5
    assert longest < 3
