"""What a client sends must not become structure elsewhere: log lines, headers, labels. Secrets appear nowhere."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.log import JsonFormatter
from schemas import envelope
from tests.collector.conftest import KEY
from tests.collector.live import Served
from tests.collector.security import answer, answers
from tests.collector.security.conftest import EVENT, post

CLOSE = b"connection: close"
CANARY = "slc_live_canary_7f3a"
INJECTED = "\r\nset-cookie: a=b\r\n\r\n<script>\x1b[31m\u202e\x00"


def metrics(served: Served) -> str:
    ((_, text),) = answers(served.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    return str(text.decode())


@pytest.mark.parametrize("name", [b"x-request-id", b"user-agent", b"traceparent", b"referer", b"origin", b"cookie"])
def test_nothing_of_a_request_is_echoed_in_headers(served: Served, name: bytes) -> None:
    received = served.ask(post(EVENT, name + b": canary-9\t%0d%0aset-cookie: a=b", CLOSE))
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert b"set-cookie" not in head
    assert answer(received)[0] == 200


@pytest.mark.parametrize("field", ["name", "event_id", "session_id", "visitor_id", "user_id"])
def test_line_breaks_in_fields_are_refused(served: Served, field: str) -> None:
    body = json.dumps([{"event_type": "custom_event", "name": "n", "consent_state": "granted", field: INJECTED}])
    _, content = answer(served.ask(post(body.encode(), CLOSE)))
    assert (content["events"][0]["code"], content["events"][0]["field"]) == ("invalid_field", f"$.{field}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80))
def test_any_text_is_quoted_safely(served: Served, text: str) -> None:
    event = {"event_type": "custom_event", "name": text, "event_id": text, "tenant": text, text: 1}
    received = served.ask(post(json.dumps([event]).encode(), CLOSE))
    assert received.count(b"HTTP/1.1") == 1 + text.count("HTTP/1.1") * 3
    answer(received)


def test_user_agents_and_traces_reach_the_record_as_text(served: Served) -> None:
    answer(served.ask(post(EVENT, b"user-agent: a\tb\xff\xfe'\"", b"traceparent: 00-x", CLOSE)))
    record = envelope.decode(served.publisher.records[0].value)
    assert record.user_agent == "a\tb\xff\xfe'\""
    assert record.traceparent == ""


def test_a_log_line_is_one_json_object(caplog: pytest.LogCaptureFixture, served: Served) -> None:
    caplog.set_level(logging.DEBUG)
    answers(served.ask(post(json.dumps([{"event_type": INJECTED, INJECTED: 1}]).encode(), CLOSE, key="")))
    served.ask(b"GET /%0d%0a\x01 HTTP/1.1\r\nhost: x\r\n\r\n")
    lines = [JsonFormatter("collector").format(record) for record in caplog.records]
    assert all(json.loads(line) and line.isprintable() for line in lines)


def test_secrets_appear_nowhere(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quoted = CANARY.encode()
    requests = [
        post(EVENT, CLOSE, key=CANARY),
        post(b'{"events":[%s],"tracking_key":"%s"}' % (EVENT, quoted), CLOSE, key=""),
        post(b'[%s,"tracking_key":"%s"}]' % (EVENT[:-1], quoted), CLOSE),
        post(b'[%s,"tracking_key":["%s"]}]' % (EVENT[:-1], quoted), CLOSE),
        post(b'[%s,"tracking_key":"%s"}]' % (EVENT[:-1], quoted * 100), CLOSE),
        post(b'[%s,"consent_state":"%s"}]' % (EVENT[:-1], quoted), CLOSE),
        post(b'%s,"occurred_at":"%s"}' % (EVENT[:-1], quoted), CLOSE),
        post(EVENT, b"content-length: " + quoted, CLOSE),
    ]
    told = b"".join(served.ask(request) for request in requests)
    assert CANARY not in told.decode()
    assert KEY not in told.decode()
    logged = "".join(JsonFormatter("collector").format(record) for record in caplog.records)
    for text in (logged, metrics(served)):
        assert CANARY not in text
        assert KEY not in text


def test_labels_are_bounded(served: Served) -> None:
    def series() -> int:
        return sum(1 for line in metrics(served).splitlines() if not line.startswith("#"))

    def noise(number: int) -> None:
        name = f"n{number}".encode()
        event = b'[{"event_type":"custom_event","name":"%s","consent_state":"granted","%s":1}]' % (name, name)
        served.ask(post(event, CLOSE))
        served.ask(b"GET /%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % name)

    noise(0)
    before = series()
    for number in range(1, 30):
        noise(number)
    assert series() == before
