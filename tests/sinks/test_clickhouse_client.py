"""The HTTP client: one request each, and what its failure proves. Against a server that fails on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from core.errors import ConfigError, RefusedError, UnavailableError
from core.settings import Settings
from sinks import clickhouse
from sinks.clickhouse import ClickHouse, ServerError, UncertainError


@dataclass
class Request:
    query: dict[str, list[str]]
    body: bytes
    user: str | None
    password: str | None


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    settings: Settings
    requests: list[Request] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: answered(200, b""))


def answered(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Promises a hundred bytes and sends three."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"abc")
    handler.close_connection = True


def cut_chunks(handler: BaseHTTPRequestHandler) -> None:
    """As ClickHouse does when a query fails after its answer began."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3\r\nabc\r\n")
    handler.close_connection = True


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def be_silent(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1)
    handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(
                Request(
                    parse_qs(urlsplit(self.path).query),
                    body,
                    self.headers["X-ClickHouse-User"],
                    self.headers["X-ClickHouse-Key"],
                )
            )
            with contextlib.suppress(OSError):
                found.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{http.server_address[1]}"
    found = Server(Settings(clickhouse_url=url, clickhouse_user="ann", clickhouse_password="pw"))
    yield found
    http.shutdown()
    http.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[ClickHouse]:
    made = ClickHouse(server.settings)
    yield made
    made._pool.clear()


def test_a_statement_carries_user_database_and_parameters(server: Server, client: ClickHouse) -> None:
    server.answer = answered(200, "é".encode())
    assert client.execute("SELECT {a:UInt8}", a=5) == "é"
    (request,) = server.requests
    assert (request.body, request.user, request.password) == (b"SELECT {a:UInt8}", "ann", "pw")
    assert request.query == {"database": ["sluice"], "param_a": ["5"]}


def test_rows_keep_their_integers(server: Server, client: ClickHouse) -> None:
    server.answer = answered(200, b'[18446744073709551615,"a"]\n[1,null]\n')
    assert client.rows("SELECT 1") == [[18446744073709551615, "a"], [1, None]]
    assert client.scalar("SELECT 1") == 18446744073709551615
    assert server.requests[0].body == b"SELECT 1\nFORMAT JSONCompactEachRow"
    assert server.requests[0].query["output_format_json_quote_64bit_integers"] == ["0"]


def test_an_insert_sends_its_statement_beside_its_data(server: Server, client: ClickHouse) -> None:
    client.insert("INSERT INTO t FORMAT Avro", b"\0\xff", settings={"insert_deduplication_token": "a:b"})
    (request,) = server.requests
    assert request.body == b"\0\xff"
    assert request.query == {
        "database": ["sluice"],
        "query": ["INSERT INTO t FORMAT Avro"],
        "insert_deduplication_token": ["a:b"],
    }


def test_a_query_may_choose_its_format(server: Server, client: ClickHouse) -> None:
    server.answer = answered(200, b"\x00\x01")
    assert client.fetch("SELECT 1", form="RowBinary") == b"\x00\x01"
    assert server.requests[0].query["default_format"] == ["RowBinary"]


def test_no_database_is_named_where_none_exists_yet(server: Server) -> None:
    made = ClickHouse(server.settings, database="")
    made.execute("CREATE DATABASE x")
    assert "database" not in server.requests[0].query
    made._pool.clear()


@pytest.mark.parametrize("answer", [cut_off, cut_chunks, hang_up])
def test_an_answer_that_breaks_off_proves_nothing(server: Server, client: ClickHouse, answer: Answer) -> None:
    server.answer = answer
    with pytest.raises(UncertainError):
        client.insert("INSERT INTO t FORMAT Avro", b"x", settings={})
    assert len(server.requests) == 1, "sent once: a second time is the caller's decision"


@pytest.mark.parametrize("break_off", [cut_off, cut_chunks, hang_up])
def test_a_query_is_asked_once_more_where_its_connection_broke(
    server: Server, client: ClickHouse, break_off: Answer
) -> None:
    answers = iter([break_off, answered(200, b"[1]\n"), break_off, break_off])

    def one_after_the_other(handler: BaseHTTPRequestHandler) -> None:
        next(answers)(handler)

    server.answer = one_after_the_other
    assert client.scalar("SELECT 1") == 1
    with pytest.raises(UncertainError):
        client.scalar("SELECT 1")
    assert len(server.requests) == 4


def test_a_statement_is_not(server: Server, client: ClickHouse) -> None:
    server.answer = hang_up
    with pytest.raises(UncertainError):
        client.execute("ALTER TABLE t DELETE WHERE 1")
    assert len(server.requests) == 1


def test_a_server_that_does_not_answer_in_time_proves_nothing(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(clickhouse, "_READ_TIMEOUT_S", 0.1)
    server.answer = be_silent
    made = ClickHouse(server.settings)
    with pytest.raises(UncertainError):
        made.execute("SELECT 1")
    assert len(server.requests) == 1
    made._pool.clear()


def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        made = ClickHouse(Settings(clickhouse_url=f"http://127.0.0.1:{port}"))
        with pytest.raises(UnavailableError) as away:
            made.execute("SELECT 1")
    assert not isinstance(away.value, UncertainError)


def test_an_unknown_host_is_away() -> None:
    with pytest.raises(UnavailableError) as away:
        ClickHouse(Settings(clickhouse_url="http://host.invalid:1")).execute("SELECT 1")
    assert not isinstance(away.value, UncertainError)


@pytest.mark.parametrize(
    ("number", "retryable"),
    [(60, False), (62, False), (27, False), (516, False)]
    + [(number, True) for number in (159, 164, 202, 209, 210, 225, 241, 242, 243, 252, 319, 373, 394, 774, 999)],
)
def test_an_error_of_the_server_has_its_number(
    server: Server, client: ClickHouse, number: int, retryable: bool
) -> None:
    server.answer = answered(500, f"Code: {number}. DB::Exception: no (NAME)".encode())
    with pytest.raises(ServerError) as refused:
        client.execute("SELECT 1")
    assert isinstance(refused.value, RefusedError)
    assert (refused.value.number, refused.value.retryable) == (number, retryable)
    assert "DB::Exception: no" in refused.value.message


def test_an_exception_behind_status_200_is_an_error(server: Server, client: ClickHouse) -> None:
    server.answer = answered(200, b"Code: 241. DB::Exception: memory", X_ClickHouse_Exception_Code="241")
    with pytest.raises(ServerError) as refused:
        client.execute("SELECT 1")
    assert refused.value.number == 241


@pytest.mark.parametrize("status", [301, 404, 502, 503])
def test_an_error_that_is_not_the_servers_proves_nothing(server: Server, client: ClickHouse, status: int) -> None:
    """A proxy in between may have passed the request on."""
    server.answer = answered(status, b"<h1>Bad gateway</h1>")
    with pytest.raises(UncertainError, match=str(status)):
        client.execute("SELECT 1")
    assert len(server.requests) == 1


def test_a_long_error_is_shortened(server: Server, client: ClickHouse) -> None:
    server.answer = answered(500, b"Code: 62. " + b"x" * 100_000 + b"\xff")
    with pytest.raises(ServerError) as refused:
        client.execute("SELECT 1")
    assert len(refused.value.message) <= 2_000


@pytest.mark.parametrize("url", ["", "127.0.0.1:8123", "tcp://127.0.0.1:9000", "http://", "http:///x"])
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="SLUICE_CLICKHOUSE_URL"):
        ClickHouse(Settings(clickhouse_url=url))


def test_tls_is_checked_unless_told_otherwise() -> None:
    def pool(**changed: bool | str) -> dict[str, object]:
        settings = Settings(clickhouse_url="https://h:1", **changed)  # type: ignore[arg-type] # by name
        return ClickHouse(settings)._pool.connection_pool_kw

    assert pool()["cert_reqs"] == "CERT_REQUIRED"
    assert pool(clickhouse_verify_tls=False)["cert_reqs"] == "CERT_NONE"
    assert pool(clickhouse_ca_file="/ca.pem")["ca_certs"] == "/ca.pem"
