"""The one place that touches chDB: opens the engine, hands out connections, kills statements, closes.

A `Link` is one engine connection: its own database, settings, parameters and temporary tables; use it from one thread
at a time. Every failure of the engine leaves here as `ClickHouseError`. Which statements run is decided elsewhere.
"""

from __future__ import annotations

import importlib
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.clickhouse import errors
from infra.clickhouse.sql_text import assignments, identifier, literal

# A setting of the hosted service that does nothing here: it carries our tag of a running statement, and so leaves
# `log_comment` to the client.
TAG_SETTING: Final = "distributed_cache_client_id"
# The query id of a running statement, in the words of system.processes: what follows the random part of its tag.
QUERY_ID_SQL: Final = f"substring(Settings['{TAG_SETTING}'], 33)"
_PROGRESS: Final = ("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read", "elapsed_ns",
                    "memory_usage")  # fmt: skip
_PROGRESS_SQL: Final = (
    "SELECT read_rows, read_bytes, written_rows, written_bytes, total_rows_approx, toUInt64(elapsed * 1e9), "
    "memory_usage FROM system.processes"
)
_RUNNING_SQL: Final = (
    "SELECT query_id, arrayExists(name -> match(name, '^max_(rows|bytes|result)_'), mapKeys(Settings)) "
    "FROM system.processes"
)
# What clickhouse-local turns on for its console and a server does not have.
_SERVER_LIKE: Final = "?implicit_select=0&allow_introspection_functions=0"


def new_tag(query_id: str) -> str:
    """Marks one statement of one request; two requests may carry the same query id."""
    return uuid.uuid4().hex + query_id


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows and bytes of one statement, for the summary header."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    data: bytes
    counts: Counts


@dataclass(frozen=True, slots=True)
class Running:
    """The engine's own id of a running statement, empty if none runs; whether it set a limit on rows or bytes."""

    query_id: str
    is_limited: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Errors of one code: how often, and of the last one whose statement's and with which message."""

    code: int
    name: str
    count: int
    query_id: str
    message: str


_FAILURES_SQL = (
    "SELECT code, name, value, query_id, last_error_message FROM system.errors WHERE NOT remote "
    "SETTINGS output_format_json_quote_64bit_integers = 0"
)


class Insert:
    """An open insert. Nothing is stored before `finish` as long as the rows fit one block; `cancel` stores nothing."""

    def __init__(self, inserter: Any) -> None:
        self._inserter = inserter

    def append(self, data: bytes) -> None:
        try:
            self._inserter.append(data)
        except Exception as error:
            raise errors.from_engine(error) from error

    def finish(self) -> Counts:
        try:
            result = self._inserter.finish()
        except Exception as error:
            raise errors.from_engine(error) from error
        return Counts(written_rows=result.rows_written, written_bytes=result.bytes_written,
                      read_rows=result.rows_written, read_bytes=result.bytes_written)  # fmt: skip

    def cancel(self) -> None:
        try:
            self._inserter.cancel()
        except Exception as error:
            raise errors.from_engine(error) from error


class Link:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: str | bytes, *, form: str = "TabSeparated") -> Piece:
        """Run to the end and return the whole result. Bytes are SQL as a client sent it, which may hold raw strings."""
        try:
            return _piece(self._connection.query(sql, form))
        except Exception as error:
            raise errors.from_engine(error) from error

    def text(self, sql: str) -> str:
        return self.query(sql, form="TSVRaw").data.decode("utf-8", "replace").removesuffix("\n")

    def stream(self, sql: str | bytes, *, form: str) -> Iterator[Piece]:
        """Pieces as the engine makes them, each formatted on its own. Closing the iterator cancels the statement."""
        try:
            pieces = self._connection.send_query(sql, form)
        except Exception as error:
            raise errors.from_engine(error) from error
        try:
            while (piece := _fetch(pieces)) is not None:
                yield _piece(piece)
        finally:
            _close_quietly(pieces)

    def insert(self, head: str | bytes, *, form: str) -> Insert:
        try:
            return Insert(self._connection.send_insert(head, form))
        except Exception as error:
            raise errors.from_engine(error) from error

    def assign(self, settings: dict[str, str]) -> None:
        if settings:
            self.query(assignments(settings))

    def use(self, database: str) -> None:
        self.query(f"USE {identifier(database)}")

    def close(self) -> None:
        self._connection.close()


class Engine:
    """The engine of this process: one folder, opened once. Raises whatever chDB raises when it cannot open."""

    def __init__(self, data: Path) -> None:
        chdb = importlib.import_module("chdb")
        self._connect = chdb.connect
        self._address = str(data)
        # The engine lives as long as one connection does.
        self._root = Link(self._connect(self._address))
        self._asking = threading.Lock()  # the root connection has one statement at a time
        self.version = self._root.text("SELECT version()")
        self.timezone = self._root.text("SELECT timezone()")

    def link(self) -> Link:
        try:
            return Link(self._connect(self._address + _SERVER_LIKE))
        except Exception as error:
            raise errors.from_engine(error) from error

    def progress(self, tag: str) -> dict[str, int] | None:
        """Figures of the running statement with this tag, by the names of the progress header; None if none runs."""
        with self._asking:
            row = self._root.text(f"{_PROGRESS_SQL} WHERE {_has(tag)} LIMIT 1")
        return dict(zip(_PROGRESS, map(int, row.split("\t")), strict=True)) if row else None

    def running(self, tag: str) -> Running:
        """The running statement with this tag."""
        with self._asking:
            row = self._root.text(f"{_RUNNING_SQL} WHERE {_has(tag)} LIMIT 1")
        query_id, _, is_limited = row.partition("\t")
        return Running(query_id, is_limited != "0")

    def failures(self) -> dict[int, Failure]:
        """What went wrong since the engine was opened: of each error code its number and its last occurrence."""
        with self._asking:
            found = self._root.query(_FAILURES_SQL, form="JSONCompactEachRow").data
        return {code: Failure(code, *rest) for code, *rest in map(json.loads, found.splitlines())}

    def kill(self, tag: str) -> None:
        """Ask the statement with this tag to stop; it may already be over."""
        self._kill(_has(tag))

    def kill_all(self) -> None:
        self._kill("1")

    def close(self) -> None:
        self._root.close()

    def _kill(self, condition: str) -> None:
        with self._asking:
            self._root.query(f"KILL QUERY WHERE {condition} ASYNC")


def _has(tag: str) -> str:
    return f"Settings[{literal(TAG_SETTING)}] = {literal(tag)}"


def _fetch(pieces: Any) -> Any:
    try:
        return pieces.fetch()
    except Exception as error:
        raise errors.from_engine(error) from error


def _close_quietly(pieces: Any) -> None:
    with suppress(Exception):  # the statement is over either way, and why is already known
        pieces.close()


def _piece(result: Any) -> Piece:
    counts = Counts(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
    )
    return Piece(result.bytes(), counts)
