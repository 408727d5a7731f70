"""Structured logs: an event name and key/values, one JSON object a line (or one readable line on a terminal).

Values are escaped by the JSON encoder, so nothing a client sends can forge a line. What is logged where is decided by
the rooms; secrets are never passed in.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

_FIELDS = "sluice_fields"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# Line ends and controls beyond ASCII, and what reorders text on a screen. JSON leaves them as they are.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class EventLogger:
    """`log.info("sink.inserted", rows=10, partition=3)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._log(logging.ERROR, event, fields, exc_info=True)

    def _log(self, level: int, event: str, fields: dict[str, Any], *, exc_info: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={_FIELDS: fields}, exc_info=exc_info)


class JsonFormatter(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return "{" + ",".join(f"{_encoded(name)}:{_encoded(value)}" for name, value in line.items()) + "}"


class TextFormatter(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        fields = "".join(f" {name}={_encoded(value)}" for name, value in getattr(record, _FIELDS, {}).items())
        line = f"{at} {record.levelname.lower():7} {self._process} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _encoded(value: object) -> str:
    """JSON of `value` that any terminal shows as it is. Never fails: a log line must not cost an event."""
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except (UnicodeEncodeError, TypeError, RecursionError):  # lone surrogates, as in file names; odd keys; cycles
        text = msgspec.json.encode(ascii(value)).decode()
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Handler(logging.StreamHandler[TextIO]):
    """Loses lines that cannot be written, as on a full disk, and says how many once it can again. The standard handler
    prints a traceback for each to a place that may be just as full.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            note = logging.LogRecord(__name__, logging.WARNING, __file__, 0, "log.lines_lost", None, None)
            setattr(note, _FIELDS, {"lines": lost})
            super().emit(note)
            if self._lost:
                self._lost += lost
                return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        if isinstance(sys.exc_info()[1], OSError):
            self._lost += 1
        else:
            super().handleError(record)


def get_logger(name: str) -> EventLogger:
    return EventLogger(name)


def configure(*, process: str, level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error), replacing earlier handlers."""
    out = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and out.isatty())
    handler = _Handler(out)
    handler.setFormatter(TextFormatter(process) if as_text else JsonFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(level.lower(), logging.INFO))
    # Client libraries narrate reconnects at INFO; what matters of it reaches us as typed errors.
    for chatty in ("faust", "mode", "urllib3", "uvicorn.access", "clickhouse_connect"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
    # Faust's client tells each of its tries, 40 lines a second; that Kafka is away is told by ours (`core.client_log`).
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
