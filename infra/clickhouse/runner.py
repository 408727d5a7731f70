"""Gives one statement to the engine and its result to the answer: rows in, rows out in pieces, or all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from infra.clickhouse import formats
from infra.clickhouse.answer import Answer
from infra.clickhouse.engine import Counts, Link
from infra.clickhouse.errors import ClickHouseError
from infra.clickhouse.failures import Watch
from infra.clickhouse.formats import Heading
from infra.clickhouse.statement import Statement, selects


@dataclass(frozen=True, slots=True)
class Output:
    """The format a result goes out in; `heading` is None when it cannot go in pieces."""

    form: str
    heading: Heading | None


def output_of(statement: Statement, *, default: str, settings: Mapping[str, str]) -> Output:
    form = statement.format or default or "TabSeparated"
    heading = formats.heading_of(form)
    named = {name.upper().encode() for name, value in settings.items() if value not in ("0", "false")}
    if not selects(statement) or formats.WHOLE_ONLY_WORDS & (statement.words | named):
        heading = None
    return Output(form, heading)


def insert(
    link: Link, statement: Statement, rows: Iterator[bytes], *, form: str, may_be_empty: bool, watch: Watch
) -> Counts:
    """Rows go to the engine as they arrive; anything that goes wrong before the last one stores nothing."""
    inserting = link.insert(statement.head, form=form)
    watch.began()
    try:
        for piece in rows if may_be_empty else _not_empty(rows):
            inserting.append(piece)
        counts = inserting.finish()
    except BaseException:
        with suppress(ClickHouseError):
            inserting.cancel()
        raise
    watch.ended()
    return counts


def _not_empty(rows: Iterator[bytes]) -> Iterator[bytes]:
    first = next(rows, None)
    if first is None:
        raise ClickHouseError(108, "NO_DATA_TO_INSERT", "No data to insert")
    yield first
    yield from rows


def stream(link: Link, statement: Statement, output: Output, *, heading: Heading, answer: Answer) -> None:
    sql = statement.head
    rows = 0
    ending = b""
    ending_bytes = formats.ending_length(heading)
    pieces = link.stream(sql, form=output.form)
    try:
        for piece in pieces:
            again = formats.heading_length(heading, piece.data) if rows else 0
            end = len(piece.data) - ending_bytes
            ending = piece.data[end:]
            rows += piece.counts.result_rows
            answer.count(replace(piece.counts, result_rows=rows))
            answer.write(memoryview(piece.data)[again:end].tobytes() if again or ending_bytes else piece.data)
    finally:
        _close(pieces)
    if ending:
        answer.write(ending)
    if not rows and heading is not Heading.NONE:
        # The engine gives no piece at all for no rows, but the heading is due.
        answer.write(link.query(sql, form=output.form).data)


def whole(link: Link, statement: Statement, output: Output, *, answer: Answer) -> bool:
    """Returns whether there was a result."""
    piece = link.query(statement.head, form=output.form)
    answer.count(piece.counts)
    answer.write(piece.data)
    return bool(piece.data)


def _close(pieces: Iterator[object]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
