"""One run of collectors under faults: a broker and collectors alone, load, kills and freezes of both, a verdict."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from cli import collectors
from cli.endpoints import Endpoints
from cli.stack import RunningStack
from core.settings import Settings
from infra import ports, topics
from infra.kafka import broker
from infra.supervisor import Supervisor
from tests.oracle.chaos import Chaos
from tests.oracle.collector_judge import CollectorJudge, CollectorVerdict
from tests.oracle.run import wait_until_ready
from tests.oracle.sender import Sender
from tests.oracle.workload import Workload

KEY = "slc_test_oracle_0123456789"
_INHERITED = ("HOME", "LANG", "PATH", "TZ", "VIRTUAL_ENV")
_ROOT = Path(__file__).parents[2]
_SHOWN = 5
# What the collectors' logs say that a run should have met.
_TOLD = ("publisher.overdue", "publisher.spooling", "publisher.direct", "spool.adopted", "spool.torn_tail")


@contextmanager
def engine(folder: Path) -> Iterator[tuple[str, Supervisor]]:
    """A broker and where it is, for the collectors of one test after the other: a start costs more than a fault."""
    prepared = broker.prepare(Settings(state_dir=folder))
    with Supervisor([[prepared.spec]]) as engines:
        yield prepared.bootstrap, engines


@contextmanager
def doors(
    kafka: tuple[str, Supervisor], folder: Path, *, prefix: str, plant: str = "", **settings: object
) -> Iterator[RunningStack]:
    """Collectors, with `settings` of theirs, before a broker with topics of their own. `plant` is a folder with a
    `sitecustomize.py`.
    """
    bootstrap, engines = kafka
    [port] = ports.pick(1)
    wanted = replace(
        Settings(
            state_dir=folder,
            kafka_bootstrap=bootstrap,
            topic_prefix=f"{prefix}.",
            collector_port=port,
            bootstrap_key=KEY,
            limit_client_per_minute=0,
            # Many outages in little time: a frozen broker is found out soon.
            collector_ack_timeout_ms=500,
        ),
        **settings,  # type: ignore[arg-type] # names are checked by replace
    )
    (folder / "logs").mkdir(parents=True)
    topics.apply(wanted)
    env = {variable: os.environ[variable] for variable in _INHERITED if variable in os.environ}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (plant, str(_ROOT))))
    with Supervisor([collectors.specs(wanted, env=env)]) as flow:
        url = f"http://{wanted.collector_host}:{port}"
        endpoints = Endpoints(bootstrap, "", "", "", url, KEY, wanted.bootstrap_tenant)
        yield RunningStack(wanted, endpoints, engines, flow)


@dataclass(frozen=True, slots=True)
class Result:
    """`seen`: how often the collectors' logs told of what they went through."""

    verdict: CollectorVerdict
    report: str
    seen: Counter[str]
    faults: Counter[str]


def run(
    stack: RunningStack,
    workload: Workload,
    *,
    chaos: Sequence[Chaos] = (),
    rate: float,
    lanes: int = 8,
    batch: int = 20,
    patience_s: float = 90.0,
) -> Result:
    """Never raises for a broken promise: that is the verdict's to say."""
    began = time.monotonic()
    url, key = stack.endpoints.collector_url, stack.endpoints.bootstrap_key
    sender = Sender(workload, url=url, key=key, lanes=lanes, batch=batch, rate=rate)
    sender.start()
    for each in chaos:
        each.start()
    for each in chaos:
        each.join(timeout_s=600)
    sender.join(timeout_s=600)
    wait_until_ready(stack, timeout_s=60.0)
    judge = CollectorJudge(stack.settings, workload, sender.obligations)
    verdict = judge.judge(url=f"{url}/api/v1/tracking/collect/", key=key, patience_s=patience_s)
    faults = sum((each.done for each in chaos), Counter())
    seen = _seen(stack.settings)
    lines = [
        f"collectors: seed {workload.seed}, {time.monotonic() - began:.0f} s",
        f"  {sender.obligations.requests:>9,} requests, {sender.obligations.retried:,} of them sent again",
        f"  {verdict.obligations:>9,} events acknowledged: {_counts(verdict.receipts)}",
        f"  {verdict.raw:>9,} raw records, {verdict.doubles:,} of them doubles",
        f"  {faults.total():>9,} faults: {_counts(faults)}",
        f"            in the logs: {_counts(seen)}",
    ]
    for name, found in verdict.problems().items():
        lines.append(f"  {len(found):>9,} {name}")
        lines += [f"            {text}" for text in found[:_SHOWN]]
    if not verdict.holds:
        lines += ["  what was done, when:", *(f"    {line}" for each in chaos for line in each.log)]
    lines.append("verdict: everything holds" if verdict.holds else "verdict: BROKEN")
    return Result(verdict, "\n".join(lines), seen, faults)


def _seen(settings: Settings) -> Counter[str]:
    seen: Counter[str] = Counter()
    for path in (settings.state_dir / "logs").glob("collector*.log"):
        for line in path.read_bytes().splitlines():
            try:
                event = msgspec.json.decode(line)["event"]
            except (msgspec.DecodeError, KeyError, TypeError):
                continue
            if event in _TOLD:
                seen[event] += 1
    return seen


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} x {name}" for name, n in sorted(counts.items())) or "none"
