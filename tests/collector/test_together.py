"""Events judged together get what each of them gets alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import forms, together
from collector.caller import Caller
from collector.contract import MAX_DEPTH, MAX_OBJECT_BYTES, MAX_PROPERTIES
from collector.controls import Controls
from collector.forms import Form
from collector.judge import Judge, Judged
from collector.keys import Grant, Refusal
from collector.normal import Arrival
from collector.privacy import Policy, redaction
from core.ids import SeededIds
from core.settings import Settings
from tests.collector.conftest import NOW_MS, event

MAX_EVENT_BYTES = 20_000
GRANT = Grant("demo", "key")

_GOOD: list[dict[str, Any]] = [
    event(),
    event(event_id=..., visitor_id=..., occurred_at="2025-12-31T23:59:59.25Z"),
    event(event_type="custom_event", name="signed up", version=3, user_agent="own", client_ip="203.0.113.77"),
    event(properties={"title": "Größe M", "tags": ["a", {"b": [1, 2.5]}]}, context={"n": 12345678901234567890}),
    event(occurred_at="2031-01-01T00:00:00Z", sent_at="2026-01-01T00:00:00Z", properties={}),
    event(consent_state="denied"),
    event(tenant="demo"),
    event(url=None, user_id=None, name=None),
]
_STRANGE: list[Any] = [
    event(typo=1),
    event(event_type="custom_event"),
    event(event_type="custom_event", name=""),
    event(tenant="other"),
    event(tracking_key="slc_live_x_0123456789abcdef"),
    event(name="a\u0007b"),
    event(event_id="x" * 129),
    event(url="https://x.example/?token=abc&q=1"),
    event(properties={"password": "hunter2", "client_ip": "203.0.113.9"}),
    event(properties={"mail": "a@b.example"}),
    event(properties=None),
    event(properties=[1]),
    event(properties={"x": "y" * MAX_OBJECT_BYTES}),
    event(context={"x": "y" * MAX_EVENT_BYTES}),
    event(properties={str(number): 1 for number in range(MAX_PROPERTIES + 1)}),
    event(properties=msgspec.Raw(b'{"x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")),
    event(properties=msgspec.Raw(b'{"x":1e999}')),
    event(properties=msgspec.Raw(b'{"x":"\xff"}')),
    event(properties=msgspec.Raw(b'{"x":"\\u0000 \\"quoted\\""}')),
    5,
    "event",
    None,
]


class OneByOne(Judge):
    def _is_plain(self, _form: Form) -> bool:
        return False


def judged(judge: type[Judge], body: bytes) -> Judged:
    settings = Settings(bootstrap_key="slc_test_bootstrap_0123456789")
    return judge(
        random_ids=SeededIds(1),
        max_event_bytes=MAX_EVENT_BYTES,
        policy=Policy(settings),
        redaction=redaction(settings),
    ).judge(
        forms.read(body, max_events=100),
        grant=GRANT,
        arrival=Arrival(NOW_MS, user_agent="agent", client_ip="198.51.100.0"),
        caller=Caller(Controls(keys=_NoKeys())),
    )


class _NoKeys:
    def find(self, _text: str, _origin: str = "", /) -> Grant | Refusal:
        return Refusal("unknown_key")


@given(
    good=st.lists(st.sampled_from(_GOOD), max_size=6),
    strange=st.lists(st.sampled_from(_STRANGE), max_size=1),
    data=st.data(),
    as_batch=st.booleans(),
)
def test_together_is_as_one_by_one(good: list[Any], strange: list[Any], data: st.DataObject, as_batch: bool) -> None:
    events = data.draw(st.permutations(good + strange))
    body = msgspec.json.encode({"events": events} if as_batch else events)
    assert judged(Judge, body) == judged(OneByOne, body)


@pytest.mark.parametrize("one", _GOOD)
def test_what_is_usual_is_read_together(one: dict[str, Any]) -> None:
    raws = [msgspec.Raw(msgspec.json.encode(each)) for each in (one, event(), one)]
    events = together.read(raws, MAX_EVENT_BYTES)
    assert events is not None
    assert len(events) == 3


@pytest.mark.parametrize("one", [event(typo=1), event(properties={"x": "y" * MAX_OBJECT_BYTES}), event(context=5), 5])
def test_what_breaks_a_rule_is_not(one: Any) -> None:
    raws = [msgspec.Raw(msgspec.json.encode(each)) for each in (event(), one)]
    assert together.read(raws, MAX_EVENT_BYTES) is None
