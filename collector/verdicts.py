"""The answer to a request that was understood: one verdict an event, in the order of the request."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from collector.faults import Code, Fault
from collector.privacy import Drop

VerdictName = Literal["accepted", "rejected", "consent_dropped", "retry"]
IdSource = Literal["natural_key", "assigned"]


class Verdict(Struct, gc=False, omit_defaults=True):
    """`index` (from 0) on everything but `accepted`; `code` on `rejected` and `consent_dropped`; `field` and
    `message` on `rejected` only.

    `event_id` is null when the client sent none that can be read and none was given. `event_id_source` says who made
    the id if the client did not.
    """

    event_id: str | None
    verdict: VerdictName
    event_id_source: IdSource | UnsetType = UNSET
    index: int | UnsetType = UNSET
    code: Code | Drop | UnsetType = UNSET
    field: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Answer(Struct, gc=False):
    accepted: int
    rejected: int
    consent_dropped: int
    retry: int
    events: list[Verdict]


def rejected(index: int, fault: Fault, *, event_id: str | None) -> Verdict:
    return Verdict(
        event_id, "rejected", index=index, code=fault.code, field=fault.field or UNSET, message=fault.message
    )


def answer(verdicts: list[Verdict]) -> Answer:
    counts = {"accepted": 0, "rejected": 0, "consent_dropped": 0, "retry": 0}
    for verdict in verdicts:
        counts[verdict.verdict] += 1
    return Answer(**counts, events=verdicts)


encode = msgspec.json.Encoder().encode
