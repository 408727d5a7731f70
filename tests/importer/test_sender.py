"""The sender against a collector that refuses, delays, breaks off and judges."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cli.importer import sender as sender_module
from cli.importer.answers import Verdict
from cli.importer.sender import Sender, Sending
from core.errors import ConfigError, RefusedError, UnavailableError

ACCEPTED = Verdict("accepted")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(sender_module, "LONGEST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def waits() -> list[str]:
    return []


@pytest.fixture
def deliver(collector: Any, key: str, waits: list[str]) -> Callable[..., dict[int, Verdict]]:
    def run(
        count: int = 4, *, url: str = "", key: str = key, max_wait: float = 5.0, stop: bool = False
    ) -> dict[int, Verdict]:
        stopping = threading.Event()
        if stop:
            stopping.set()
        sender = Sender(
            url or collector.url, key=key, sending=Sending(max_wait=max_wait), stop=stopping, on_wait=waits.append
        )
        events = [json.dumps({"event_id": str(index)}).encode() for index in range(count)]
        try:
            return {index: verdict for settled in sender.deliver(events) for index, verdict in settled}
        finally:
            sender.close()

    return run


def sent(collector: Any) -> list[list[str]]:
    return [[event["event_id"] for event in request["events"]] for request in collector.requests]


def verdicts(*kinds: str) -> list[dict[str, Any]]:
    return [{"event_id": None, "verdict": kind} for kind in kinds]


def test_a_batch_is_one_historical_gzip_request(collector: Any, deliver: Any, waits: list[str]) -> None:
    assert deliver() == dict.fromkeys(range(4), ACCEPTED)
    assert [request["historical"] for request in collector.requests] == [True]
    assert collector.headers[0]["Content-Encoding"] == "gzip"
    assert collector.headers[0]["Content-Type"] == "application/json"
    assert waits == []


def test_nothing_to_send_is_no_request(collector: Any, deliver: Any) -> None:
    assert deliver(0) == {}
    assert collector.requests == []


def test_only_events_to_retry_are_sent_again(collector: Any, deliver: Any, reply: Any, waits: list[str]) -> None:
    collector.script = [
        lambda _: reply(503, verdicts("accepted", "retry", "consent_dropped", "retry"), headers={"Retry-After": "0"}),
        lambda _: reply(503, verdicts("retry", "accepted")),
    ]
    assert deliver() == {0: ACCEPTED, 1: ACCEPTED, 2: Verdict("consent_dropped"), 3: ACCEPTED}
    assert sent(collector) == [["0", "1", "2", "3"], ["1", "3"], ["1"]]
    assert len(waits) == 2
    assert waits[0].startswith("503")


def test_refusals_carry_their_reason(collector: Any, deliver: Any, reply: Any) -> None:
    refusal = {"index": 0, "event_id": None, "verdict": "rejected", "code": "too_long", "field": "url", "message": "no"}
    collector.script = [lambda _: reply(200, [refusal])]
    assert deliver(1) == {0: Verdict("rejected", "too_long", "url", "no")}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_without_verdicts_the_whole_batch_is_sent_again(
    collector: Any, deliver: Any, reply: Any, waits: list[str], status: int
) -> None:
    collector.script = [lambda _: reply(status, body=b'{"title": "Away", "detail": "Kafka is away"}')]
    assert deliver() == dict.fromkeys(range(4), ACCEPTED)
    assert sent(collector) == [["0", "1", "2", "3"]] * 2
    assert waits == [f"{status} Kafka is away"]


def test_retry_after_is_honoured(collector: Any, deliver: Any, reply: Any) -> None:
    collector.script = [lambda _: reply(429, headers={"Retry-After": "1"})]
    began = time.monotonic()
    deliver()
    assert time.monotonic() - began >= 1.0


def test_a_retry_after_that_is_garbage_is_ignored(collector: Any, deliver: Any, reply: Any) -> None:
    collector.script = [lambda _: reply(429, headers={"Retry-After": "soon"})]
    assert len(deliver()) == 4


def test_a_dropped_connection_is_tried_again(collector: Any, deliver: Any, reply: Any, waits: list[str]) -> None:
    collector.script = [lambda _: reply(reset=True), lambda _: reply(reset=True)]
    assert deliver() == dict.fromkeys(range(4), ACCEPTED)
    assert sent(collector) == [["0", "1", "2", "3"]] * 3
    assert waits == ["no answer (ProtocolError)"] * 2


class RecordingStop(threading.Event):
    """Does not wait, but says how long it was to."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return False


def test_pauses_grow_to_a_limit(collector: Any, key: str, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    collector.script = [lambda _: reply(503)] * 4 + [lambda _: reply(503, headers={"Retry-After": "2"})]
    stop = RecordingStop()
    sender = Sender(collector.url, key=key, sending=Sending(), stop=stop, on_wait=lambda _: None)
    assert len(list(sender.deliver([b'{"event_id": "0"}']))) == 1
    assert stop.pauses == [0.005, 0.01, 0.02, 0.02, 2.0]
    sender.close()


def test_pauses_are_jittered(collector: Any, key: str, reply: Any) -> None:
    collector.script = [lambda _: reply(503)] * 20
    stop = RecordingStop()
    sender = Sender(collector.url, key=key, sending=Sending(), stop=stop, on_wait=lambda _: None)
    list(sender.deliver([b'{"event_id": "0"}']))
    late = stop.pauses[5:]
    assert len(set(late)) > 10
    assert all(0.01 <= pause <= 0.02 for pause in late if pause is not None)
    sender.close()


def test_gives_up_without_progress(collector: Any, deliver: Any, reply: Any) -> None:
    collector.answer = lambda _: reply(503, body=b'{"detail": "Kafka is away"}')
    with pytest.raises(UnavailableError, match="503 Kafka is away"):
        deliver(max_wait=0.1)
    assert len(collector.requests) > 2


def test_gives_up_when_nobody_listens(deliver: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnavailableError, match="no answer"):
        deliver(url=f"http://127.0.0.1:{port}", max_wait=0.05)


def test_gives_up_at_once_when_asked_to_wait_too_long(collector: Any, deliver: Any, reply: Any) -> None:
    collector.answer = lambda _: reply(429, headers={"Retry-After": "3600"})
    with pytest.raises(UnavailableError):
        deliver(max_wait=10)
    assert len(collector.requests) == 1


def test_progress_extends_the_wait(collector: Any, deliver: Any, reply: Any) -> None:
    """One event at a time, slower in sum than the limit, faster one by one."""

    def one(events: list[dict[str, Any]]) -> Any:
        time.sleep(0.05)
        return reply(503, verdicts("accepted", *["retry"] * (len(events) - 1)))

    collector.answer = one
    assert len(deliver(6, max_wait=0.2)) == 6


def test_told_to_stop_it_finishes_the_request_and_waits_no_longer(collector: Any, deliver: Any, reply: Any) -> None:
    collector.answer = lambda events: reply(
        503, verdicts("accepted", *["retry"] * (len(events) - 1)), headers={"Retry-After": "30"}
    )
    assert deliver(stop=True) == {0: ACCEPTED}
    assert len(collector.requests) == 1


def test_a_body_that_is_too_large_is_halved_in_order(collector: Any, deliver: Any, reply: Any) -> None:
    accept = collector.answer
    collector.answer = lambda events: accept(events) if len(events) <= 2 else reply(413)
    assert deliver(7) == dict.fromkeys(range(7), ACCEPTED)
    assert [event["event_id"] for event in collector.accepted] == [str(index) for index in range(7)]


def test_a_single_event_that_is_too_large_is_refused(collector: Any, deliver: Any, reply: Any) -> None:
    accept = collector.answer
    collector.answer = lambda events: reply(413) if "1" in [e["event_id"] for e in events] else accept(events)
    result = deliver(3)
    assert (result[0], result[1].code, result[2]) == (ACCEPTED, "too_large", ACCEPTED)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_accepted(collector: Any, deliver: Any, reply: Any, status: int) -> None:
    collector.script = [lambda _: reply(status)]
    with pytest.raises(ConfigError, match="tracking key") as caught:
        deliver()
    assert "--key-file" in caught.value.hint
    assert len(collector.requests) == 1


def test_the_key_is_in_no_message(collector: Any, deliver: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        deliver(key="slc_wrong")
    assert "slc_wrong" not in f"{caught.value.message} {caught.value.hint}"
    assert "unknown tracking key" in caught.value.message


@pytest.mark.parametrize("key", ["", " ", "a\nb", "ключ"])
def test_a_key_that_no_header_can_hold(deliver: Any, collector: Any, key: str) -> None:
    with pytest.raises(ConfigError, match="tracking key"):
        deliver(key=key)
    assert collector.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b'{"events":[]}'),
        (200, b'{"events":[{"verdict":"accepted"},{"verdict":"accepted"}]}'),
        (200, b'{"events":[{"verdict":"maybe"}]}'),
        (302, b""),
        (404, b""),
        (405, b""),
    ],
)
def test_what_is_no_collector(collector: Any, deliver: Any, reply: Any, status: int, body: bytes) -> None:
    collector.answer = lambda _: reply(status, body=body)
    with pytest.raises(ConfigError, match="no Sluice collector"):
        deliver(1)


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://[::1", "nonsense"])
def test_an_address_that_is_none(url: str, key: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        Sender(url, key=key, sending=Sending(), stop=threading.Event(), on_wait=print)


def test_a_request_that_will_never_be_taken(collector: Any, deliver: Any, reply: Any) -> None:
    collector.answer = lambda _: reply(400, body=b'{"detail": "no events"}')
    with pytest.raises(RefusedError, match="400 no events"):
        deliver()
    assert len(collector.requests) == 1
