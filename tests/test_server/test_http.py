"""The test server as a client's tests meet it: a process, over HTTP."""

from __future__ import annotations

import gzip
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from tests.test_server.conftest import Server, environment, event, running

BAD = event(event_id="bad", properties={"status": "two hundred"})


def test_a_good_event_is_told_decoded_and_raw(server: Server) -> None:
    status, answer = server.send(event(properties={"status": 200}, occurred_at="2026-03-01T10:00:00+02:00"))
    assert (status, answer["accepted"]) == (200, 1)
    [item] = server.get("/test/good")
    assert (item["outcome"], item["tenant"], item["contract"]) == ("curated", "demo", "page_view:1")
    assert item["event"]["properties"] == {"status": 200}
    assert item["event"]["occurred_at"] == "2026-03-01T08:00:00.000Z"
    assert msgspec.json.decode(item["raw"])["occurred_at"] == "2026-03-01T10:00:00+02:00"
    assert (server.get("/test/bad"), server.get("/test/duplicates")) == ([], [])


def test_strict_answers_with_the_contract_and_costs_no_neighbour(server: Server) -> None:
    status, answer = server.send([event(), BAD, event(event_id="e-2")])
    assert (status, answer["accepted"], answer["rejected"]) == (200, 2, 1)
    assert [each["verdict"] for each in answer["events"]] == ["accepted", "rejected", "accepted"]
    assert answer["events"][1] == {
        "event_id": "bad",
        "verdict": "rejected",
        "index": 1,
        "code": "wrong_type",
        "field": "$.properties.status",
        "message": 'expected integer from 100 to 599, or null, got string "two hundred"',
    }
    [item] = server.get("/test/bad")
    assert (item["outcome"], item["code"], item["field"]) == ("dead_letter", "wrong_type", "$.properties.status")
    assert item["faults"][0]["message"] == (
        '$.properties.status: expected integer from 100 to 599, or null, got string "two hundred"'
    )


def test_lenient_answers_as_a_real_collector_does() -> None:
    with running("--lenient") as lenient:
        status, answer = lenient.send([BAD])
        assert (status, answer["accepted"], answer["rejected"]) == (200, 1, 0)
        assert lenient.get("/test/all")["dead_letter"] == 1


def test_repeats_are_duplicates_until_reset(server: Server) -> None:
    server.send([event(), event()])
    server.send(event())
    assert server.get("/test/all") == {
        "total": 3,
        "good": 1,
        "bad": 0,
        "duplicate": 2,
        "dead_letter": 0,
        "rejected": 0,
        "consent_dropped": 0,
        "forgotten": 0,
    }
    assert [item["event"]["event_id"] for item in server.get("/test/duplicates")] == ["e-1", "e-1"]
    server.call("POST", "/test/reset")
    assert server.get("/test/all")["total"] == 0
    server.send(event())
    assert server.get("/test/all")["good"] == 1


def test_a_broken_event_does_not_take_its_id(server: Server) -> None:
    server.send(event(properties={"status": "x"}))
    server.send(event(properties={"status": 200}))
    assert [item["outcome"] for item in server.get("/test/good")] == ["curated"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([event(consent_state="denied")], ("consent_dropped", "consent_dropped", "$.consent_state")),
        ([event(typo=1)], ("rejected", "unknown_field", "$.typo")),
        ([17], ("rejected", "invalid_field", "")),
        ([event(event_type="custom_event")], ("rejected", "missing_field", "$.name")),
        (b'{"event_type', ("rejected", "invalid_json", "")),
        (b"", ("rejected", "invalid_json", "")),
        (b"\xff\xfe", ("rejected", "invalid_json", "")),
    ],
)
def test_what_the_collector_refuses_is_bad_too(server: Server, body: Any, expected: tuple[str, str, str]) -> None:
    server.send(body)
    [item] = server.get("/test/bad")
    assert (item["outcome"], item["code"], item["field"]) == expected
    sent = body if isinstance(body, bytes) else msgspec.json.encode(body[0])
    assert item["raw"] == sent.decode(errors="replace")
    assert item["message"]
    assert server.get("/test/all")["bad"] == 1


def test_a_bad_key_is_answered_and_recorded_for_each_event(server: Server) -> None:
    status, problem = server.send([event(), event(event_id="e-2")], key="wrong")
    assert (status, problem["code"]) == (401, "unauthorized")
    items = server.get("/test/bad")
    assert [(item["code"], item["event"]["event_id"]) for item in items] == [
        ("unauthorized", "e-1"),
        ("unauthorized", "e-2"),
    ]
    assert server.send(event())[0] == 200


def test_compressed_bodies_are_read_as_the_collector_reads_them(server: Server) -> None:
    body = gzip.compress(msgspec.json.encode([event(), event(consent_state="pending")]))
    status, answer = server.call(
        "POST",
        "/api/v1/tracking/collect",
        body,
        **{"Authorization": f"Bearer {server.key}", "Content-Encoding": "gzip"},
    )
    assert (status, answer["accepted"]) == (200, 1)
    assert server.get("/test/all")["consent_dropped"] == 1
    assert msgspec.json.decode(server.get("/test/bad")[0]["raw"])["consent_state"] == "pending"


def test_filters(server: Server) -> None:
    server.send([event(), event(event_id="s", event_type="custom_event", name="signup", visitor_id="v-2"), BAD])
    assert [item["event"]["event_id"] for item in server.get("/test/good?name=signup")] == ["s"]
    assert [item["event"]["event_id"] for item in server.get("/test/good?event=page_view&tenant=demo")] == ["e-1"]
    assert [item["event"]["event_id"] for item in server.get("/test/good?limit=1")] == ["s"]
    assert server.get("/test/bad?visitor_id=v-2") == []
    for query in ("visitor=v", "limit=x", "event=a&event=b"):
        assert server.call("GET", f"/test/good?{query}")[0] == 400


def test_assertions(server: Server) -> None:
    server.send([event(properties={"status": 200}), BAD])
    asked = {
        "good": [{"event_type": "page_view", "properties": {"status": 200}}],
        "bad": [{"code": "wrong_type", "field": "$.properties.status"}],
        "counts": {"good": 1, "bad": 1},
    }
    assert server.call("POST", "/test/assert", asked) == (200, {"passed": True})
    status, problem = server.call("POST", "/test/assert", {"good": [{"properties": {"status": 404}}]})
    assert (status, problem["status"], problem["passed"]) == (417, 417, False)
    [failure] = problem["failures"]
    assert failure["differences"] == [{"path": "$.properties.status", "expected": 404, "actual": 200}]
    assert failure["nearest"]["event"]["event_id"] == "e-1"
    assert server.call("POST", "/test/assert", {"godo": []})[0] == 400


def test_who_sends_an_assertion_that_is_too_long_reads_why(server: Server) -> None:
    for _ in range(20):
        assert server.call("POST", "/test/assert", b"x" * 2_000_000)[0] == 413


def test_an_assertion_waits_for_what_is_still_coming(server: Server) -> None:
    later = threading.Timer(0.3, server.send, [event()])
    started = time.monotonic()
    later.start()
    assert server.call("POST", "/test/assert", {"counts": {"good": 1}, "within_ms": 8_000})[0] == 200
    assert 0.25 < time.monotonic() - started < 5
    later.join()
    started = time.monotonic()
    assert server.call("POST", "/test/assert", {"counts": {"good": 2}, "within_ms": 200})[0] == 417
    assert time.monotonic() - started >= 0.2


def test_memory_is_bounded_and_what_is_forgotten_counted() -> None:
    with running("--max-events", "5") as server:
        server.send([event(event_id=f"e-{n}") for n in range(20)])
        counts = server.get("/test/all")
        assert (counts["total"], counts["good"], counts["forgotten"]) == (20, 20, 15)
        assert [item["event"]["event_id"] for item in server.get("/test/good")] == [f"e-{n}" for n in range(15, 20)]


def test_the_collectors_own_paths_are_there(server: Server) -> None:
    assert server.get("/health/ready") == {"status": "ready"}
    assert server.get("/")["service"] == "sluice-collector"
    assert server.call("GET", "/api/v1/tracking/collect/")[0] == 405
    assert server.call("GET", "/test/nothing")[1]["code"] == "not_found"
    assert server.call("GET", "/test/reset")[0] == 405


def test_keys() -> None:
    with running(SLUICE_BOOTSTRAP_KEY="slc_mine", SLUICE_BOOTSTRAP_TENANT="acme") as server:
        assert server.key == "slc_mine"
        assert server.send(event(), key="other")[0] == 401
        server.send(event())
        assert server.get("/test/good")[0]["tenant"] == "acme"
    with running("--accept-any-key") as server:
        assert server.send(event(), key="other")[0] == 200
        assert server.call("POST", "/api/v1/tracking/collect/", event())[0] == 401


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_nothing_on_stderr(number: signal.Signals) -> None:
    with running() as server:
        server.send(event())
        server.process.send_signal(number)
        assert server.process.wait(10) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


def test_a_taken_port_is_said_and_documented() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "cli", "test-server", "--port", port],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 73
    assert port in done.stderr
    assert "--port" in done.stderr


def test_no_engine_is_loaded() -> None:
    """What makes it start in about a second: neither Kafka's client nor ClickHouse's nor Faust."""
    program = (
        "import sys, cli.test_server.app, cli.cold_server, cli.test_server.command; "
        "print(sorted({'confluent_kafka', 'chdb', 'faust', 'clickhouse_connect'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
