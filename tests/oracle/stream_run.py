"""One run of stream workers under disturbances: load, disturb, come to rest, judge, report."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from core.settings import Settings
from infra import topics
from infra.kafka import broker
from infra.supervisor import Supervisor
from tests.oracle.disturbances import Disturbance
from tests.oracle.fleet import Fault, Fleet
from tests.oracle.progress import Progress, Stall
from tests.oracle.raw_load import RawLoad, RawWorkload, send_fresh
from tests.oracle.stream_judge import StreamJudge, StreamVerdict

_TICK_S = 0.02
_SHOWN = 5
# In which the commit of a worker that woke late would still arrive.
_QUIET_S = 1.5
SEVERAL = "several at once"


@contextmanager
def embedded_kafka(folder: Path) -> Iterator[Settings]:
    """A broker alone, and settings that name it. Each run on it takes a topic prefix of its own."""
    settings = Settings(state_dir=folder, partitions=8)
    prepared = broker.prepare(settings)
    with Supervisor([[prepared.spec]]):
        yield replace(settings, kafka_bootstrap=prepared.bootstrap)


def prefixed(settings: Settings, name: str) -> Settings:
    """Settings of a run called `name`, with its topics applied."""
    settings = replace(settings, topic_prefix=f"{name}.", state_dir=settings.state_dir / name)
    settings.state_dir.mkdir(parents=True)
    topics.apply(settings)
    return settings


@dataclass(frozen=True, slots=True)
class Result:
    """`recovery_s`: the longest standstill of a partition in which one thing happened, by what that was."""

    verdict: StreamVerdict
    report: str
    seen: Counter[str]
    recovery_s: dict[str, float]


def run(
    fleet: Fleet,
    workload: RawWorkload,
    disturbances: Sequence[Disturbance] = (),
    *,
    workers: int = 3,
    rate: float,
    patience_s: float = 90.0,
) -> Result:
    """Add `workers` to the fleet and run. Never raises for a broken promise: that is the verdict's to say."""
    settings, verdict = fleet.settings, StreamVerdict()
    progress, load = Progress(settings), RawLoad(settings, workload, rate)
    for _ in range(workers):
        fleet.add()
    _until(fleet, lambda: fleet.calm, timeout_s=patience_s)
    progress.start()
    fleet.begin()
    load.start()
    progress.begin()
    for disturbance in disturbances:
        _strike(fleet, disturbance)
    load.hurry()
    if not _until(fleet, lambda: load.done and progress.complete(), timeout_s=patience_s):
        verdict.stuck.append(f"raw records without an outcome after {patience_s:g} s: {progress.pending()}")
    progress.end()
    if not _until(fleet, lambda: fleet.calm, timeout_s=patience_s):
        verdict.stuck.append(f"workers did not come to rest within {patience_s:g} s: {_states(fleet)}")
    _until(fleet, lambda: False, timeout_s=_QUIET_S)
    send_fresh(settings)
    if not verdict.stuck and not _until(fleet, progress.complete, timeout_s=patience_s):
        verdict.stuck.append(f"fresh events without an outcome after {patience_s:g} s: {progress.pending()}")
    progress.stop()
    verdict.unsent += load.failures
    verdict.stuck += progress.failures
    seconds = time.monotonic() - fleet.began
    StreamJudge(settings, workload).judge(verdict)
    seen = _seen(fleet, verdict)
    recovery_s = _recovery(progress.stalls, fleet.faults)
    report = _render(verdict, workload, fleet, recovery_s, seen, seconds)
    return Result(verdict, report, seen, recovery_s)


def _strike(fleet: Fleet, disturbance: Disturbance) -> None:
    """When it is due, or as soon as there is a victim."""
    due = fleet.began + disturbance.at_s
    _until(fleet, lambda: time.monotonic() >= due and disturbance.strike(fleet), timeout_s=600, armed=True)


def _until(fleet: Fleet, reached: Callable[[], bool], *, timeout_s: float = 60.0, armed: bool = False) -> bool:
    """Look after the fleet until `reached`; False if the time was up first."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        fleet.look(armed=armed)
        if reached():
            return True
        time.sleep(_TICK_S)
    return False


def _states(fleet: Fleet) -> list[str]:
    return [f"{w.name} {w.child.reason() or 'runs'}" for w in fleet.workers]


def _seen(fleet: Fleet, verdict: StreamVerdict) -> Counter[str]:
    """What the workers' logs tell: takeovers by another worker among them."""
    seen: Counter[str] = Counter()
    owners: dict[object, list[tuple[object, str]]] = defaultdict(list)
    for worker_id, line in fleet.said():
        event = str(line.get("event"))
        if event == "streams.partition_assigned":
            owners[line["partition"]].append((line["at"], worker_id))
        elif event == "streams.partitions_given_up":
            seen[f"partitions {line['how']}"] += len(line["partitions"])  # type: ignore[arg-type]
        elif "InvariantError" in str(line.get("exception")):
            verdict.alarms.append(f"worker {worker_id}: {str(line['exception']).rpartition('InvariantError')[2]}")
        elif event.startswith(("streams.", "kafka.")) and line.get("level") in {"warning", "error"}:
            seen[event] += 1
    for taken in owners.values():
        workers = [worker_id for _, worker_id in sorted(taken, key=str)]
        seen["partitions assigned"] += len(workers)
        seen["taken over by another worker"] += sum(a != b for a, b in pairwise(workers))
    return seen


def _recovery(stalls: Sequence[Stall], faults: Sequence[Fault]) -> dict[str, float]:
    longest: dict[str, float] = defaultdict(float)
    for stall in stalls:
        felt = [f for f in faults if f.at <= stall.ended and f.until >= stall.began]
        kind = felt[0].kind if len(felt) == 1 else SEVERAL if felt else "nothing"
        longest[kind] = max(longest[kind], stall.seconds)
    return dict(longest)


def _render(
    verdict: StreamVerdict,
    workload: RawWorkload,
    fleet: Fleet,
    recovery_s: dict[str, float],
    seen: Counter[str],
    seconds: float,
) -> str:
    lines = [
        f"stream workers: seed {workload.seed}, {seconds:.0f} s, {len(fleet.workers)} worker processes",
        f"  {verdict.raw:>9,} raw records of {workload.size:,} events, and {verdict.fresh} fresh ones",
        f"  {verdict.outcomes.total():>9,} outcomes in {verdict.batches:,} batches: {_counts(verdict.outcomes)}",
        f"  {len(fleet.faults):>9,} faults: {_counts(Counter(fault.kind for fault in fleet.faults))}",
        f"            in the logs: {_counts(seen)}",
        "  longest standstill of a partition after",
        *(f"  {longest:>9.1f} s {kind}" for kind, longest in sorted(recovery_s.items())),
    ]
    for name, found in verdict.problems().items():
        lines.append(f"  {len(found):>9,} {name}")
        lines += [f"            {text}" for text in found[:_SHOWN]]
    lines += ["  what happened, when:", *(f"    {at:6.1f} s  {text}" for at, text in fleet.log)]
    lines.append("verdict: everything holds" if verdict.holds else "verdict: BROKEN")
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} x {name}" for name, n in sorted(counts.items())) or "none"
