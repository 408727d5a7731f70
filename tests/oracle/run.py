"""One run of the oracle on a running stack: send, disturb, wait, judge, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from cli.stack import RunningStack
from core.errors import SluiceError
from infra.child_events import ChildState
from tests.oracle.chaos import Chaos
from tests.oracle.judge import Judge, Verdict
from tests.oracle.report import render
from tests.oracle.sender import Sender
from tests.oracle.workload import Workload


def run(
    stack: RunningStack,
    *,
    workload: Workload,
    chaos: Chaos | None = None,
    rate: float = 0.0,
    lanes: int = 4,
    batch: int = 100,
    timeout_s: float = 300.0,
    patience_s: float = 90.0,
    ready_s: float = 60.0,
    meanwhile: Callable[[], None] | None = None,
) -> tuple[Verdict, str]:
    """Returns the verdict and the report. Never raises for a broken promise: that is the verdict's to say.

    `ready_s` is how long every process may take to be up again; `patience_s`, what was sent to arrive.
    """
    began = time.monotonic()
    url, key = stack.endpoints.collector_url, stack.endpoints.bootstrap_key
    sender = Sender(workload, url=url, key=key, lanes=lanes, batch=batch, rate=rate)
    sender.start()
    if chaos is not None:
        chaos.start()
    if meanwhile is not None:
        meanwhile()
    sender.join(timeout_s=timeout_s)
    if chaos is not None:
        chaos.join(timeout_s=timeout_s)
    wait_until_ready(stack, timeout_s=ready_s)
    verdict = Judge(stack.settings, workload, sender.obligations).judge(url=url, key=key, patience_s=patience_s)
    report = render(
        verdict,
        sender.obligations,
        seed=workload.seed,
        faults=chaos.done if chaos else {},
        log=chaos.log if chaos else (),
        seconds=time.monotonic() - began,
    )
    return verdict, report


def wait_until_ready(stack: RunningStack, *, timeout_s: float) -> None:
    """Wait until every process of the stack is up again; go on after `timeout_s`, since the judge will tell."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(SluiceError):
            if all(s.state is ChildState.READY for owner in (stack.engines, stack.flow) for s in owner.status()):
                return
        time.sleep(0.1)
