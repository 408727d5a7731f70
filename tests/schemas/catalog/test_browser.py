"""The catalog in a real browser, from files: search, widths, keyboard, contrast, and life without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import build, write
from schemas.registry import bundled
from tests.schemas.catalog.browser import BROWSER, Browser
from tests.schemas.catalog.contracts import event, field, registry

pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no chromium")]

PAGES = ("index.html", "events/order_completed.html", "contexts/context.html", "metrics.html", "privacy.html")
_VISIBLE = "[...document.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).map(row => row.id)"
# WCAG 2.2, 1.4.3, over the elements that hold text themselves. Answers with what is below 4.5:1.
_FAINT = """
(() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    const ownText = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!ownText || !element.checkVisibility() || element.tagName === "SCRIPT") continue;
    const both = [parse(getComputedStyle(element).color), ground(element)].map(luminance);
    const [light, dark] = both.sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("catalog")
    write(folder, build(bundled()))
    return folder.as_uri()


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(_started: Browser) -> Browser:
    _started.set_scripts(enabled=True)
    _started.set_screen(1280, 900)
    return _started


def visible(browser: Browser) -> list[str]:
    found: Any = browser.evaluate(_VISIBLE)
    return list(found)


def test_the_search_filters_while_one_types(browser: Browser, root: str) -> None:
    browser.open(f"{root}/index.html")
    everything = visible(browser)
    assert len(everything) == len(bundled().subjects("event")) + len(bundled().subjects("context"))
    browser.press("/", 191)  # the key that leads to the search
    assert browser.evaluate("document.activeElement.id") == "search"
    browser.type("currency")
    found = visible(browser)
    assert "event-order_completed" in found
    assert len(found) < len(everything)
    row = browser.evaluate("document.getElementById('event-order_completed').innerText")
    assert "Found in field currency" in row
    assert f"{len(found)} of {len(everything)} match" in browser.evaluate("document.getElementById('found').innerText")
    assert browser.evaluate("location.search") == "?q=currency"
    browser.type(" nothing-has-this")
    assert visible(browser) == []
    browser.press("Escape", 27)
    assert visible(browser) == everything
    assert browser.evaluate("location.search") == ""


@pytest.mark.parametrize("question", ["revenue", "commerce", "OrDer CURR", "gclid"])
def test_a_question_comes_with_the_address(browser: Browser, root: str, question: str) -> None:
    browser.open(f"{root}/index.html?q={question.replace(' ', '+')}")
    assert browser.evaluate("document.getElementById('search').value") == question
    assert 0 < len(visible(browser)) < len(bundled().subjects())


def test_other_pages_send_their_question_to_the_index(browser: Browser, root: str) -> None:
    browser.open(f"{root}/events/order_completed.html")
    browser.evaluate("document.getElementById('search').focus()")
    browser.type("free shipping")
    browser.evaluate("document.querySelector('form.search').requestSubmit()")
    browser.wait(lambda: browser.evaluate("location.pathname").endswith("/index.html"))
    browser.wait(lambda: browser.evaluate("document.readyState") == "complete")
    assert browser.evaluate("location.search") == "?q=free+shipping"
    assert browser.evaluate("document.getElementById('search').value") == "free shipping"


def test_without_scripts_everything_but_the_search_is_there(browser: Browser, root: str) -> None:
    browser.set_scripts(enabled=False)
    browser.open(f"{root}/index.html")
    assert len(visible(browser)) == len(bundled().subjects("event")) + len(bundled().subjects("context"))
    assert browser.evaluate("document.querySelector('form.search').checkVisibility()") is False
    browser.open(f"{root}/events/order_completed.html")
    assert "order_id" in browser.evaluate("document.getElementById('fields').innerText")
    assert browser.evaluate("document.querySelector('.code button')") is None


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, root: str, page: str, width: int) -> None:
    browser.set_screen(width, 900)
    browser.open(f"{root}/{page}")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_long_words_break(browser: Browser, tmp_path: Path, width: int) -> None:
    long = "a_name_that_nobody_would_" * 6
    note = event(long, field(long, doc=long, allowed=[long], examples=[long]), doc=long, owner=long, metrics=[long])
    site = build(registry(tmp_path / "contracts", {long: [note, note | {"doc": "Short."}]}))
    write(tmp_path / "site", site)
    browser.set_screen(width, 900)
    for page in site:
        if page.endswith(".html"):
            browser.open(f"{tmp_path.as_uri()}/site/{page}")
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, page


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, root: str, page: str, *, dark: bool) -> None:
    browser.set_screen(1280, 900, dark=dark)
    browser.open(f"{root}/{page}")
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.evaluate(_FAINT) == []
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground != "rgb(255, 255, 255)") == dark


def test_the_first_key_leads_past_the_head(browser: Browser, root: str) -> None:
    browser.open(f"{root}/events/page_view.html")
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().top") >= 0


def test_tables_stay_tables_on_a_phone(browser: Browser, root: str) -> None:
    """As cards they are laid out otherwise, and would lose their rows for who hears the page."""
    browser.set_screen(320, 900)
    browser.open(f"{root}/index.html")
    roles = [node["role"]["value"] for node in browser.call("Accessibility.getFullAXTree")["nodes"]]
    assert roles.count("table") == 2
    assert roles.count("row") > len(bundled().subjects("event"))
    assert "rowheader" in roles
