"""`sluice sql` on a terminal, and with a file piped in."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.infra.clickhouse.front import REPOSITORY, eventually
from tests.sql_cli.conftest import Shop
from tests.sql_cli.terminal import Terminal

PROMPT = "sluice>"


def opened(shop: Shop, **environment: str) -> Terminal:
    return Terminal(["sql"], environment={**shop.environment, **environment}, folder=REPOSITORY)


def asked(terminal: Terminal, text: str) -> str:
    """What a statement or command shows, up to the next prompt."""
    terminal.type(text + "\n")
    terminal.until(text.splitlines()[-1])
    return terminal.until_last(PROMPT)


def test_statements_commands_and_the_way_out(shop: Shop) -> None:
    with opened(shop) as terminal:
        assert "ClickHouse 26" in terminal.until_last(PROMPT)
        shown = asked(terminal, "SELECT id, page FROM visits ORDER BY id;")
        assert "3 rows" in shown
        assert "ᴺᵁᴸᴸ" in shown
        assert "a\\x09b\\x1b[31m" in shown, "controls of a value reached the terminal"
        assert "Visits of pages" in asked(terminal, "\\d")
        described = asked(terminal, "\\d visits")
        assert "Nullable(String)" in described
        assert "Which visit" in described
        assert "There is no nothing." in asked(terminal, "\\d nothing")
        assert "Ctrl-C stops" in asked(terminal, "\\?")
        assert "there is no \\nope" in asked(terminal, "\\nope")
        assert "Row 1:" in asked(terminal, "\\x") + asked(terminal, "SELECT 1 AS one;")
        asked(terminal, "\\x")
        assert '{"one":1}' in asked(terminal, "\\f JSONEachRow") + asked(terminal, "SELECT 1 AS one;")
        terminal.type("\\q\n")
        assert terminal.end() == 0


def test_several_lines_are_one_statement(shop: Shop) -> None:
    with opened(shop) as terminal:
        terminal.until_last(PROMPT)
        terminal.type("SELECT 'one;\ntwo' AS\n")
        terminal.until("AS")
        shown = asked(terminal, "words -- a ; that ends nothing\n;")
        assert "1 row" in shown
        assert "one;\\x0atwo" in shown
        shown = asked(terminal, "SELECT 1 AS a; SELECT 2 AS b;")
        assert shown.count("1 row") == 2


def test_an_error_is_told_and_the_console_stays(shop: Shop) -> None:
    with opened(shop) as terminal:
        terminal.until_last(PROMPT)
        assert "UNKNOWN_TABLE" in asked(terminal, "SELECT * FROM nothing;")
        assert "boom" in asked(terminal, "SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000);")
        assert "the first 1,000 rows" in asked(terminal, "SELECT number FROM numbers(1000000000);")
        assert "1 row" in asked(terminal, "SELECT 1;")


def test_ctrl_c_kills_the_statement_and_drops_a_line(shop: Shop) -> None:
    with opened(shop) as terminal:
        terminal.until_last(PROMPT)
        terminal.type(
            "SELECT sum(sleepEachRow(0.01)) AS console_waits FROM numbers(100000) SETTINGS max_block_size = 1;\n"
        )
        running = (
            "SELECT count() FROM system.processes WHERE query LIKE '%console_waits%' AND query NOT LIKE '%processes%'"
        )
        eventually(lambda: shop.front.value(running) == "1", seconds=20)
        terminal.until("of about 100,000 rows")
        terminal.type("\x03")
        terminal.until("cancelled")
        terminal.until_last(PROMPT)
        eventually(lambda: shop.front.value(running) == "0", seconds=20)
        terminal.type("SELECT half")
        terminal.until("half")
        terminal.type("\x03")
        terminal.until_last(PROMPT)
        assert "1 row" in asked(terminal, "SELECT 7;")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_a_session_keeps_what_was_set(shop: Shop) -> None:
    with opened(shop) as terminal:
        terminal.until_last(PROMPT)
        asked(terminal, "CREATE TEMPORARY TABLE mine (n UInt8);")
        assert "2 rows written" in asked(terminal, "INSERT INTO mine VALUES (1), (2);")
        asked(terminal, "SET max_threads = 3;")
        asked(terminal, "\\c system")
        shown = asked(
            terminal, "SELECT sum(n) + 100 * getSetting('max_threads') AS kept, currentDatabase() AS db FROM mine;"
        )
        assert "303" in shown
        assert "system" in shown


def test_the_history_stays_and_is_private(shop: Shop, tmp_path: Path) -> None:
    with opened(shop, SLUICE_STATE_DIR=str(tmp_path)) as terminal:
        terminal.until_last(PROMPT)
        asked(terminal, "SELECT 12345;")
        terminal.type("\\q\n")
        assert terminal.end() == 0
    assert stat.S_IMODE((tmp_path / "sql_history").stat().st_mode) == 0o600
    with opened(shop, SLUICE_STATE_DIR=str(tmp_path)) as terminal:
        terminal.until_last(PROMPT)
        terminal.type("\x1b[A\x1b[A")  # twice up: past `\q`
        terminal.until("SELECT 12345;")
        terminal.type("\n")
        assert "12345" in terminal.until_last(PROMPT)


def test_a_server_that_goes_away_does_not_end_it(shop: Shop) -> None:
    with opened(shop) as terminal:
        terminal.until_last(PROMPT)
        assert shop.front.stop() == 0
        assert "does not answer" in asked(terminal, "SELECT 1;")
        shop.front.start()
        assert "1 row" in asked(terminal, "SELECT 1;")


def test_a_file_piped_in_ends_at_its_first_error(shop: Shop, tmp_path: Path) -> None:
    included = tmp_path / "more.sql"
    included.write_text("SELECT 'included' AS w;")
    text = f"SELECT 1 AS a;\n\\i {included}\nSELECT\n 2 AS b; SELECT nothing;\nSELECT 'never';\n"
    done = subprocess.run(
        [sys.executable, "-m", "cli", "sql"], input=text, cwd=REPOSITORY, env={**os.environ, **shop.environment},
        capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 65
    assert "included" in done.stdout
    assert "never" not in done.stdout
    assert "UNKNOWN_IDENTIFIER" in done.stderr
