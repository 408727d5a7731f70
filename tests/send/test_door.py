"""The collector's answers as `send` reads them, from a small HTTP server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.send.door import Door, Verdict
from core.errors import ConfigError, RefusedError, UnavailableError

Reply = tuple[int, Any]


class Stub:
    """Answers with `script`'s replies, then accepts everything. `requests` are the events of each."""

    def __init__(self) -> None:
        self.url = ""
        self.script: list[Callable[[list[Any]], Reply]] = []
        self.requests: list[list[Any]] = []

    def answer(self, events: list[Any]) -> Reply:
        self.requests.append(events)
        if self.script:
            return self.script.pop(0)(events)
        return 200, {"events": [{"event_id": None, "verdict": "accepted"} for _ in events]}


@pytest.fixture
def stub() -> Iterator[Stub]:
    found = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = found.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def _send(stub: Stub, bodies: list[bytes], *, timeout_s: float = 5) -> list[str]:
    found = Door(stub.url, key="k").send(bodies, deadline=time.monotonic() + timeout_s)
    return [verdict.verdict for verdict in found]


def test_many_events_go_in_several_requests_and_keep_their_order(stub: Stub) -> None:
    bodies = [b"%d" % number for number in range(1_201)]
    assert _send(stub, bodies) == ["accepted"] * 1_201
    assert [event for request in stub.requests for event in request] == list(range(1_201))
    assert max(map(len, stub.requests)) == 500


def test_large_events_make_smaller_requests(stub: Stub) -> None:
    assert len(_send(stub, [b'"%s"' % (b"x" * 200_000)] * 5)) == 5
    assert [len(request) for request in stub.requests] == [2, 2, 1]


def test_only_what_should_be_sent_again_is(stub: Stub) -> None:
    verdicts = [{"verdict": "accepted"}, {"verdict": "retry"}, {"verdict": "rejected", "code": "c", "field": "$.f"}]
    stub.script = [lambda _: (503, {"events": verdicts})]
    assert _send(stub, [b"1", b"2", b"3"]) == ["accepted", "accepted", "rejected"]
    assert stub.requests == [[1, 2, 3], [2]]


def test_what_is_never_taken_stays_open_at_the_deadline(stub: Stub) -> None:
    stub.script = [lambda _: (503, {"title": "away", "detail": "\x1b[2J"})] * 50
    assert _send(stub, [b"1"], timeout_s=0.5) == ["retry"]
    assert 2 <= len(stub.requests) <= 4


def test_a_request_that_is_too_large_is_halved_and_one_event_is_told(stub: Stub) -> None:
    stub.script = [lambda _: (413, {"code": "too_large", "detail": "no"})] * 2
    found = Door(stub.url, key="k").send([b"1", b"2"], deadline=time.monotonic() + 5)
    assert found == [Verdict("rejected", "too_large", "", "no"), Verdict("accepted")]


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [(401, ConfigError, "--key-file"), (403, ConfigError, "--key-file"), (404, ConfigError, "--collector")],
)
def test_what_a_user_can_set_right_is_said(stub: Stub, status: int, kind: type[ConfigError], hint: str) -> None:
    stub.script = [lambda _: (status, {"detail": "because \x1b"})]
    with pytest.raises(kind) as raised:
        _send(stub, [b"1"])
    assert hint in raised.value.hint
    assert "because \\x1b" in raised.value.message


def test_other_refusals_and_no_answer(stub: Stub) -> None:
    stub.script = [lambda _: (400, {"detail": "odd"}), lambda _: (200, {"events": []})]
    with pytest.raises(RefusedError, match="odd"):
        _send(stub, [b"1"])
    with pytest.raises(ConfigError, match="no Sluice collector"):
        _send(stub, [b"1"])
    with pytest.raises(UnavailableError, match="no collector answers"):
        Door("http://127.0.0.1:1", key="k").send([b"1"], deadline=time.monotonic() + 5)
