"""The line editor: several lines until a `;`, a history that stays, names of tables and keywords on Tab."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import FuzzyWordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from cli.sql.console import is_complete
from cli.sql.server import Server
from core.errors import SluiceError

_NAMES = """
SELECT name FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE '.%'
UNION DISTINCT SELECT name FROM system.columns WHERE database = currentDatabase()
UNION DISTINCT SELECT keyword FROM system.keywords WHERE NOT match(keyword, ' ')
"""


def prompt(server: Server, *, history: Path) -> Callable[[], str]:
    session: PromptSession[str] = PromptSession(
        history=_history(history),
        multiline=~Condition(lambda: is_complete(get_app().current_buffer.text)),
        lexer=PygmentsLexer(SqlLexer),
        completer=FuzzyWordCompleter(_names(server)),
        complete_while_typing=False,
        prompt_continuation=lambda width, _line, _wrapped: "." * (width - 1) + " ",
        enable_open_in_editor=True,
        key_bindings=_keys(),
    )
    return lambda: session.prompt("sluice> ")


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-c")
    def _drop(event: KeyPressEvent) -> None:
        """What is being written goes, the console stays."""
        event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


def _history(path: Path) -> History:
    """Kept for its owner only: statements hold values."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _names(server: Server) -> list[str]:
    try:
        return sorted({row[0] for row in server.rows(_NAMES)})
    except SluiceError:
        return []  # completion is a convenience
