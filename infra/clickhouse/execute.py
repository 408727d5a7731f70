"""Runs one request in a worker thread, from its body to its last byte.

    1. find the statement; 2. refuse what must not reach the engine; 3. take a connection as the request wants it;
    4. insert, stream or query; 5. give the connection back; 6. end the answer.

5 before 6: a session that is still held when the client reads the last byte answers its next request with
SESSION_IS_LOCKED. A client that leaves cancels its reads, and its inserts while their rows are still coming; what
already has all its rows finishes, as on a real server.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from infra.clickhouse import guards, hello, killing, multipart, runner, statement_source
from infra.clickhouse.access.readers import Readers
from infra.clickhouse.access.users import Identity, Role
from infra.clickhouse.answer import Answer, Server
from infra.clickhouse.body import Peekable, plain_body
from infra.clickhouse.config import FrontConfig
from infra.clickhouse.connection import Setup, connected
from infra.clickhouse.engine import Engine, Link
from infra.clickhouse.errors import ClickHouseError, ClientGoneError
from infra.clickhouse.exchange import Exchange
from infra.clickhouse.failures import Watch
from infra.clickhouse.multipart import ExternalTable
from infra.clickhouse.request import Request
from infra.clickhouse.runner import Output
from infra.clickhouse.sessions import Sessions
from infra.clickhouse.statement import Statement, StatementKind

log = logging.getLogger(__name__)

_SKIPS_ROWS = "input_format_allow_errors_"


class Executor:
    def __init__(
        self, engine: Engine, sessions: Sessions, config: FrontConfig, *, readers: Readers | None = None
    ) -> None:
        self._engine = engine
        self._readers = readers
        self._sessions = sessions
        self._config = config
        self._server = Server(engine.version, engine.timezone, config.display_name, config.data, config.max_held_bytes)
        self._reading: set[str] = set()  # tags of reads that a leaving client cancels
        self._guard = threading.Lock()
        self._kills = 0  # how many KILL statements came, for `failures`

    @property
    def version(self) -> str:
        return self._engine.version

    def answer(self, exchange: Exchange) -> Answer:
        return Answer(exchange, self._server)

    def kill_all(self) -> None:
        self._engine.kill_all()

    def run(self, request: Request, exchange: Exchange, *, identity: Identity, tag: str) -> None:
        """Blocks until the answer is out or nobody is left to read it. Raises nothing."""
        answer = self.answer(exchange)
        try:
            answer.describe(request)
            self._run(request, exchange, answer, identity, tag)
            answer.end()
        except ClientGoneError:
            _log_gone(request)
        except ClickHouseError as error:
            _fail(answer, error, request)
        except Exception:
            log.exception("clickhouse.request_broke", extra={"query_id": request.query_id})
            _fail(answer, ClickHouseError(1002, "UNKNOWN_EXCEPTION", "The front broke; its log says where"), request)
        finally:
            answer.close()

    def progress(self, tag: str) -> dict[str, int] | None:
        with suppress(ClickHouseError):
            return self._engine.progress(tag)
        return None

    def cancel_reading(self, tag: str) -> None:
        """Kill the read with this tag until it is gone: it may not have reached the engine yet."""
        while True:
            with self._guard:
                if tag not in self._reading:
                    return
            with suppress(ClickHouseError):
                self._engine.kill(tag)
            time.sleep(0.2)

    def _run(self, request: Request, exchange: Exchange, answer: Answer, identity: Identity, tag: str) -> None:
        body = Peekable(plain_body(exchange.body(), request=request, max_bytes=self._config.max_inflated_bytes))
        tables: tuple[ExternalTable, ...] = ()
        content_type = request.headers.get("content-type", "")
        if multipart.is_multipart(content_type):
            form = multipart.parse(body.read_all(), content_type=content_type, values=request.values)
            request = request.with_values(form.fields)
            answer.describe(request)
            tables = multipart.external_tables(form, values=request.values)
        statement, rows = statement_source.read(request.query, body)
        if statement.kind is StatementKind.EMPTY:
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query")
        guards.refuse(statement, method=request.method)
        if identity.role is not Role.ADMIN:
            self._read(request, statement, tables, exchange=exchange, answer=answer, identity=identity, tag=tag)
            return
        if statement.verb == b"KILL":
            self._kills += 1
        statement = killing.by_clients_id(statement)
        self._dispatch(request, statement, rows, tables, exchange=exchange, answer=answer, identity=identity, tag=tag)

    def _read(
        self,
        request: Request,
        statement: Statement,
        tables: tuple[ExternalTable, ...],
        *,
        exchange: Exchange,
        answer: Answer,
        identity: Identity,
        tag: str,
    ) -> None:
        if self._readers is None:
            raise ClickHouseError(497, "ACCESS_DENIED", "This front was not told what readers may read")
        settings = request.settings(external=[table.name for table in tables])
        output = runner.output_of(statement, default=request.default_format, settings=settings)
        if self._says_hello(request, statement, output, answer):
            return
        answer.hide_reads()
        read = self._readers.admit(
            statement, identity=identity, database=request.database, settings=settings, form=output.form,
            has_tables=bool(tables))  # fmt: skip
        self._bound(settings, request, statement, output)
        with self._readers.connected(identity, settings=settings, parameters=request.parameters, tag=tag) as link:
            self._select(link, read, output, request, exchange=exchange, answer=answer, tag=tag)

    def _dispatch(
        self,
        request: Request,
        statement: Statement,
        rows: Iterator[bytes],
        tables: tuple[ExternalTable, ...],
        *,
        exchange: Exchange,
        answer: Answer,
        identity: Identity,
        tag: str,
    ) -> None:
        settings = request.settings(external=[table.name for table in tables])
        output = runner.output_of(statement, default=request.default_format, settings=settings)
        if self._says_hello(request, statement, output, answer):
            return
        self._add_defaults(settings, request, statement, output)
        setup = Setup(
            user=identity.user,
            tag=tag,
            database=request.database,
            parameters=request.parameters,
            settings=settings,
            uses_database=statement.verb == b"USE",
            tables=tables,
            session=request.session,
        )
        with connected(setup, engine=self._engine, sessions=self._sessions) as link:
            if statement.kind is StatementKind.INSERT:
                form = statement.format or request.default_format or "Values"
                may_be_empty = settings.get("throw_if_no_data_to_insert") == "0"
                watch = self._watch(statement, settings, tag)
                counts = runner.insert(link, statement, rows, form=form, may_be_empty=may_be_empty, watch=watch)
                answer.count(counts)
            elif statement.kind is StatementKind.OTHER:
                if runner.whole(link, statement, output, answer=answer):
                    answer.describe(request, form=output.form)
            else:
                self._select(link, statement, output, request, exchange=exchange, answer=answer, tag=tag)

    def _watch(self, statement: Statement, settings: Mapping[str, str], tag: str) -> Watch:
        return Watch(
            self._engine,
            tag,
            without_views=settings.get("materialized_views_ignore_errors") in {"1", "true"},
            may_skip_rows=any(name.startswith(_SKIPS_ROWS) for name in settings)
            or _SKIPS_ROWS.encode() in statement.head.lower(),
            kills=lambda: self._kills,
        )

    def _select(
        self,
        link: Link,
        statement: Statement,
        output: Output,
        request: Request,
        *,
        exchange: Exchange,
        answer: Answer,
        tag: str,
    ) -> None:
        answer.describe(request, form=output.form)
        with self._cancellable(tag, exchange):
            if output.heading is not None:
                runner.stream(link, statement, output, heading=output.heading, answer=answer)
            else:
                runner.whole(link, statement, output, answer=answer)

    def _add_defaults(self, settings: dict[str, str], request: Request, statement: Statement, output: Output) -> None:
        self._bound(settings, request, statement, output)
        if request.session is None and request.method == "GET":
            settings.setdefault("readonly", "2")

    def _bound(self, settings: dict[str, str], request: Request, statement: Statement, output: Output) -> None:
        if statement.kind is StatementKind.READ and output.heading is None:
            # Bounds what the engine collects; the text of a format around it is a few times larger.
            settings.setdefault("max_result_bytes", str(self._config.max_buffered_bytes))
        if request.session is None:
            settings.setdefault("log_comment", request.query_id)  # what people look for in system.processes

    def _says_hello(self, request: Request, statement: Statement, output: Output, answer: Answer) -> bool:
        protocol = "client_protocol_version" in request.values
        if not hello.is_hello(statement, form=output.form, has_protocol_version=protocol):
            return False
        answer.describe(request, form=output.form)
        answer.write(
            hello.reply(
                display_name=self._config.display_name, version=self._engine.version, timezone=self._engine.timezone
            )
        )
        return True

    @contextmanager
    def _cancellable(self, tag: str, exchange: Exchange) -> Iterator[None]:
        with self._guard:
            self._reading.add(tag)
        try:
            if exchange.gone:
                raise ClientGoneError("the client left before its statement began")
            yield
        finally:
            with self._guard:
                self._reading.discard(tag)


def _fail(answer: Answer, error: ClickHouseError, request: Request) -> None:
    try:
        answer.fail(error)
    except ClientGoneError:
        _log_gone(request)


def _log_gone(request: Request) -> None:
    log.info("clickhouse.client_left", extra={"query_id": request.query_id})
