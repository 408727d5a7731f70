"""`sluice processor MODULE:NAME`: what is said of a target that cannot be run, and the programs of the page."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import main
from cli.processor import load
from core.errors import ConfigError, ExitCode, UsageError

_PAGE = Path(__file__).parents[3] / "docs/processors.md"
_SHOP, _AGAIN, _TEST = re.findall(r"^```python\n(.*?)^```", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
Write = Callable[[str, str], int]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module of this test's into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield lambda name, text: (tmp_path / f"{name}.py").write_text(text)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_example_is_found(write: Write) -> None:
    write("shop", _SHOP)
    found = load("shop:big_orders")
    assert (found.name, found.schema, found.batches) == ("big_orders", "order_completed", True)
    assert found.topics == ("big_orders", "big_orders.dead_letters")


def test_the_other_programs_of_the_page_run(write: Write) -> None:
    write("shop", f"{_SHOP}\n{_AGAIN}")
    assert load("shop:big_orders_again").source == load("shop:big_orders").dead_letters
    names: dict[str, Callable[[], None]] = {}
    exec(_TEST, names)  # noqa: S102 (a program of our documents)
    names["test_a_big_order"]()


@pytest.mark.parametrize(
    ("target", "said", "hint"),
    [
        ("shop:big_order", "shop has no processor big_order", "Did you mean big_orders?"),
        ("shop:zzz", "shop has no processor zzz", "It has: big_orders."),
        ("shop:Order", "shop has no processor Order", "A processor is a function under @processor(...)."),
        ("shopp:big_orders", "there is no module shopp", "It is looked for in the current folder"),
        ("needs:x", "needs cannot be imported: ModuleNotFoundError: No module named 'not_installed'", "`python -c"),
        ("broken:x", "broken cannot be imported: SyntaxError", "`python -c 'import broken'`"),
        ("wrong:x", "a processor cannot be called 'Big'", "Use a-z"),
    ],
)
def test_what_cannot_be_loaded(write: Write, target: str, said: str, hint: str) -> None:
    write("shop", _SHOP)
    write("needs", "import not_installed")
    write("broken", "def")
    write("wrong", "from streams.processor import *\n@processor(to='x')\ndef Big(event: Event): ...")
    with pytest.raises(ConfigError) as caught:
        load(target)
    assert caught.value.message.startswith(said)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("target", ["shop", "shop:", ":big_orders"])
def test_another_form_is_wrong_use(target: str) -> None:
    with pytest.raises(UsageError, match="must be MODULE:NAME"):
        load(target)


def test_errors_end_with_their_code(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["processor", "nowhere:x"])
    assert caught.value.code == ExitCode.CONFIG
    assert "there is no module nowhere" in capsys.readouterr().err
