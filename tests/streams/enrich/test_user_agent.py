"""Browsers, systems, devices and bots by their user agents."""

from __future__ import annotations

import crawleruseragents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.enrich.facts import NO_AGENT, Agent, Facts
from streams.enrich.user_agent import MAX_NAME, MAX_USER_AGENT, UserAgents

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IOS = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.fixture(scope="module")
def agents() -> UserAgents:
    return UserAgents()


def of(agents: UserAgents, text: str) -> Agent:
    (row,) = agents([Facts(user_agent=text)])
    return row


BROWSERS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": (
        ("Chrome", "142", "Windows", "desktop")
    ),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.3595.53": (
        ("Edge", "142", "Windows", "desktop")
    ),
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_IOS} Version/18.1 Safari/605.1.15": (
        ("Safari", "18", "Mac OS X", "desktop")
    ),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0": (
        ("Firefox", "144", "Ubuntu", "desktop")
    ),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": (
        ("Chrome", "142", "Chrome OS", "desktop")
    ),
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_IOS} Version/18.1 Mobile/15E148 Safari/604.1": (
        ("Mobile Safari", "18", "iOS", "mobile")
    ),
    f"Mozilla/5.0 (Linux; Android 15; SM-S928B) {_WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36": (
        ("Chrome Mobile", "142", "Android", "mobile")
    ),
    f"Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) {_IOS} Version/17.6 Mobile/15E148 Safari/604.1": (
        ("Mobile Safari", "17", "iOS", "tablet")
    ),
    f"Mozilla/5.0 (Linux; Android 14; SM-X910) {_WEBKIT} Chrome/142.0.0.0 Safari/537.36": (
        ("Chrome", "142", "Android", "tablet")
    ),
    f"Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) {_WEBKIT} 94.0.4606.31/7.0 TV Safari/537.36": (
        ("Safari", "", "Tizen", "other")
    ),
    # A make of phones, not a bot.
    f"Mozilla/5.0 (Linux; Android 9; CUBOT_X18_Plus) {_WEBKIT} Chrome/99.0.4844.88 Mobile Safari/537.36": (
        ("Chrome Mobile", "99", "Android", "mobile")
    ),
    "Newsify/120 CFNetwork/672.0.8 Darwin/14.0.0": ("Newsify", "120", "iOS", "mobile"),
    "completely unknown": ("", "", "", "other"),
}


@pytest.mark.parametrize(("text", "expected"), BROWSERS.items())
def test_a_browser(agents: UserAgents, text: str, expected: tuple[str, ...]) -> None:
    assert of(agents, text) == (*expected, False)


BOTS = {
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    # Neither the browser nor the phone is real.
    f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {_WEBKIT} Chrome/141.0 Mobile Safari/537.36 (compatible; "
    "Googlebot/2.1; +http://www.google.com/bot.html)": "Googlebot",
    f"Mozilla/5.0 {_WEBKIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot": "GPTBot",
    f"Mozilla/5.0 {_WEBKIT}; compatible; ClaudeBot/1.0; +claudebot@anthropic.com": "ClaudeBot",
    "curl/8.5.0": "curl",
    "python-requests/2.32.3": "python-requests",
    # In no list.
    "LumiBot 2.0": "LumiBot",
    "Mozilla/5.0 (compatible; BeetleBot; )": "BeetleBot",
    "Mozilla/5.0 (compatible; EasouSpider; +http://www.easou.com/search/spider.html)": "EasouSpider",
    "Mozilla/5.0 (compatible; Acme-Sonde/1.0; +https://acme.example/fetch)": "Acme-Sonde",
    "distilator/0.1 (http://people.freebsd.org/~ehaupt/distilator/)": "distilator",
    "Chef Client/10.18.2 (ruby-1.9.3-p327; ohai-6.16.0; x86_64-linux; +http://opscode.com)": "Chef",
    "Ruby": "Ruby",
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36": "HeadlessChrome",
}


@pytest.mark.parametrize(("text", "name"), BOTS.items())
def test_a_bot(agents: UserAgents, text: str, name: str) -> None:
    assert of(agents, text) == (name, "", "", "bot", True)


def test_every_example_of_the_list_is_found(agents: UserAgents) -> None:
    examples = [text for known in crawleruseragents.CRAWLER_USER_AGENTS_DATA for text in known["instances"]]
    assert len(examples) > 2_000
    rows = agents([Facts(user_agent=text) for text in examples])
    assert [text for text, row in zip(examples, rows, strict=True) if not row[4] or not row[0]] == []


@pytest.mark.parametrize("text", ["", "-", "   ", " - "])
def test_none_was_sent(agents: UserAgents, text: str) -> None:
    assert of(agents, text) == NO_AGENT


@given(st.text() | st.text(st.characters(categories=["Cs", "Cc"])) | st.sampled_from([*BROWSERS, *BOTS]).map(str.upper))
def test_any_text_has_bounded_columns(agents: UserAgents, text: str) -> None:
    *names, device, is_bot = of(agents, text)
    assert all(len(name) <= MAX_NAME for name in names)
    assert device in {"", "desktop", "mobile", "tablet", "bot", "other"}
    assert is_bot == (device == "bot")


def test_a_long_one_is_judged_by_its_beginning_and_remembered_as_that(agents: UserAgents) -> None:
    start = "curl/8.5.0 " + "x" * MAX_USER_AGENT
    agents.memo.forget()
    assert {of(agents, start + str(n)) for n in range(50)} == {("curl", "", "", "bot", True)}
    assert agents.memo.remembered == 1
    assert of(agents, "x" * MAX_USER_AGENT + "Googlebot/2.1")[4] is False


def test_what_took_regular_expressions_long_is_quick(agents: UserAgents) -> None:
    hostile = ["Mozilla/5.0 (" + "a;" * 490, "(" * 1_000, "Android " * 125, "x" * 999 + "!", "bot" * 333]
    assert len(agents([Facts(user_agent=text) for text in hostile])) == len(hostile)
