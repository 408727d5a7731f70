"""The state of the streams in words, and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from cli.streams.state import StreamsState, WorkerAlert
from cli.tail.safe_text import shown
from streams.batch import NOT_JUDGED
from streams.pause import Pause

_SHOWN_TENANTS = 5


def as_object(found: StreamsState) -> dict[str, object]:
    pause = msgspec.structs.asdict(found.pause)
    return {
        "paused": pause.pop("paused"),
        "pause": pause if found.pause.paused else None,
        "alerts": [{"worker": each.worker} | msgspec.structs.asdict(each.alert) for each in found.alerts],
        "waiting": found.waiting,
        "partitions": found.partitions,
    }


def lines(found: StreamsState) -> Iterator[str]:
    yield from _pause(found.pause)
    yield "alerts on dead letters" if found.alerts else "no alerts on dead letters"
    for contract in dict.fromkeys(each.alert.contract for each in found.alerts):
        yield from _alert(contract, [each for each in found.alerts if each.alert.contract == contract])
    yield "1 event waits" if found.waiting == 1 else f"{found.waiting:,} events wait"
    for lag in found.partitions:
        if lag.lane == "live" or lag.waiting:
            name = "partition" if lag.lane == "live" else "historic partition"
            yield f"  {name} {lag.partition}: {lag.waiting:,} (offset {lag.committed:,} of {lag.end:,})"


def _pause(pause: Pause) -> Iterator[str]:
    if not pause.paused:
        yield f"running ({shown(pause.reason)})" if pause.reason else "running"
        return
    since = f" since {_time(pause.at_ms)}" if pause.at_ms else ""
    by = f" by {shown(pause.by)}" if pause.by else ""
    yield f"{'halted' if pause.halt else 'paused'}{since}{by}"
    if pause.halt:
        halt = pause.halt
        yield f"  {shown(halt.contract)} was released within the hour and fails for several tenants:"
        yield f"  {halt.dead_letters:,} of {halt.judged:,} events{_from(halt.tenants)}"
    elif pause.reason:
        yield f"  {shown(pause.reason)}"
    yield "  Events wait in the raw topic, nothing is lost. `sluice streams resume` goes on."


def _alert(contract: str, told: list[WorkerAlert]) -> Iterator[str]:
    """What all workers say of one contract: each has seen other events."""
    alerts = [each.alert for each in told]
    name = "no contract" if contract == NOT_JUDGED else shown(contract)
    dead, judged = sum(alert.dead_letters for alert in alerts), sum(alert.judged for alert in alerts)
    run = max((alert.run for alert in alerts if alert.reason == "run"), default=0)
    row = f", {run:,} in a row" if run else ""
    tenants = list(dict.fromkeys(tenant for alert in alerts for tenant in alert.tenants))
    yield f"  {name}: {dead:,} of {judged:,} events within 5 minutes{row}{_from(tenants)}"
    workers = ", ".join(shown(each.worker) for each in told)
    yield f"    since {_time(min(alert.since_ms for alert in alerts))}, on worker {workers}"


def _from(tenants: list[str]) -> str:
    return f", from {', '.join(map(shown, tenants[:_SHOWN_TENANTS]))}" if tenants else ""


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
