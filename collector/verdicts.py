"""The answer to a request that was understood: one verdict an event, in the order of the request."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from collector.faults import Fault

VerdictName = Literal["accepted", "rejected", "consent_dropped", "retry"]
IdSource = Literal["natural_key", "assigned"]


class StrictFault(Struct, gc=False, omit_defaults=True):
    """One thing that breaks an event's contract; codes are those of dead letters."""

    code: str
    field: str
    message: str


class Verdict(Struct, gc=False, omit_defaults=True):
    """`index` (from 0) on everything but `accepted`; `receipt` on `accepted`, unless nothing is stored; `code` on
    `rejected` and `consent_dropped`; `field` and `message` on `rejected` only; `contract` and `faults` in strict mode.

    `time_clamped` is there if the event's time could not be believed.

    `event_id` is null when the client sent none that can be read and none was given. `event_id_source` says who made
    the id if the client did not.
    """

    event_id: str | None
    verdict: VerdictName
    event_id_source: IdSource | UnsetType = UNSET
    index: int | UnsetType = UNSET
    receipt: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    field: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    contract: str | UnsetType = UNSET
    faults: list[StrictFault] | UnsetType = UNSET
    time_clamped: Literal["future", "past"] | UnsetType = UNSET


class Answer(Struct, gc=False, omit_defaults=True):
    """`stored` is false in strict mode, and left out otherwise."""

    accepted: int
    rejected: int
    consent_dropped: int
    retry: int
    events: list[Verdict]
    stored: bool | UnsetType = UNSET


def rejected(index: int, fault: Fault, *, event_id: str | None) -> Verdict:
    return Verdict(
        event_id, "rejected", index=index, code=fault.code, field=fault.field or UNSET, message=fault.message
    )


def answer(verdicts: list[Verdict], *, stored: bool = True) -> Answer:
    said = UNSET if stored else False
    if len(verdicts) == 1 and verdicts[0].verdict == "accepted":  # nearly all of them
        return Answer(1, 0, 0, 0, verdicts, said)
    counts = Counter([verdict.verdict for verdict in verdicts])
    return Answer(counts["accepted"], counts["rejected"], counts["consent_dropped"], counts["retry"], verdicts, said)


encode = msgspec.json.Encoder().encode
