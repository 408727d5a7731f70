"""Browser, system, kind of device and bots, from the User-Agent header.

Names come from two maintained lists: browsers and systems from uap-core (`ua-parser-builtins`), bots from
`crawler-user-agents`. Both run in a Rust engine whose time is linear in the text (`ua-parser-rs`): clients choose the
text, and the same patterns in `re` take fifty times as long on honest ones.

What a user agent claims is taken for true, but for bots: of those only the name counts, because the browser and the
system beside it are a costume.
"""

from __future__ import annotations

from collections.abc import Sequence

import crawleruseragents
import ua_parser_rs
from ua_parser import Domain
from ua_parser.loaders import load_lazy_builtins
from ua_parser.regex import Resolver

from streams.enrich.facts import NO_AGENT, Agent, Facts
from streams.enrich.memo import Memo

# User agents repeat: 4,096 cover what a site sees within hours, in about 3 MB.
_REMEMBERED = 4_096
# Longer than any that is honest (in-app browsers take up to 500). Bounds the work and the cache.
MAX_USER_AGENT = 1_000
MAX_NAME = 64

# What calls itself a bot and is in no list. Not CUBOT, a make of phones.
_BOT_WORDS = (
    r"((?i:[\w.-]*[^u\W]bots?))(?:\b|_)",
    r"\b((?i:bot|robot))\b",
    r"((?i:[\w.-]*(?:spider|crawl(?:er|ing)?|slurp|scraper)))\b",
    r"((?i:[\w.-]*(?:headless|phantomjs|puppeteer|playwright|selenium)[\w.-]*))",
    r"((?i:[\w.-]*feed ?(?:fetcher|parser|burner|reader|validator)[\w.-]*))",
    r"((?i:[\w.-]*(?:link ?(?:check|validat)|validator|monitor(?:ing)?|uptime)[\w.-]*))",
    r"^((?i:ruby|java|perl|php|python|go|node|fetch|okhttp|axios|lua|libfetch))(?:/|$)",
    # Bots leave an address where to complain, browsers do not.
    r"^((?:[^M\s]|M[^o\s])[\w.-]*).*\+https?://",  # not Mozilla, behind which the name comes later
    r"([\w.-]+)(?:/[\w.]+)?; *\+https?://",
    r"^([\w.-]+).*\+https?://",
    r"^([\w.-]+)[^()]*\((?:https?://|[\w.+-]+@)",
)

_TABLET_WORDS = ("iPad", "Tablet", "tablet", "PlayBook", "Kindle", "Silk/")
_MOBILE_WORDS = ("Mobi", "iPhone", "iPod", "Opera Mini", "Windows Phone", "BlackBerry", "Symbian")
_OTHER_WORDS = (
    *("TV", "BRAVIA", "AFTT", "AFTM", "CrKey", "Roku", "Web0S", "webOS", "PlayStation", "Xbox", "Nintendo"),
    *("Watch", "Wear OS", "OculusBrowser", "Tesla/"),
)
_DESKTOP_SYSTEMS = frozenset(
    {"Windows", "Mac OS X", "Mac OS", "Linux", "Chrome OS", "Ubuntu", "Debian", "Fedora", "Kubuntu", "Arch Linux"}
    | {"Gentoo", "SUSE", "Red Hat", "CentOS", "Mageia", "Linux Mint", "FreeBSD", "OpenBSD", "NetBSD", "Solaris"}
)


class UserAgents:
    name = "user_agent"
    blank = NO_AGENT

    def __init__(self) -> None:
        browsers, systems, _ = load_lazy_builtins()
        # Without the makes and models of devices: half of the memory, and no column of ours.
        self._parse = Resolver((browsers, systems, []))
        patterns = [f"({known['pattern']})" for known in crawleruseragents.CRAWLER_USER_AGENTS_DATA]
        self._bots = ua_parser_rs.UserAgentExtractor(
            [(pattern, None, None, None, None, None) for pattern in [*patterns, *_BOT_WORDS]]
        )
        self.memo: Memo[str, Agent] = Memo(
            self._classify, size=_REMEMBERED, cut=lambda user_agent: user_agent[:MAX_USER_AGENT]
        )

    def __call__(self, batch: Sequence[Facts]) -> list[Agent]:
        return list(map(self.memo.__getitem__, [facts.user_agent for facts in batch]))

    def _classify(self, user_agent: str) -> Agent:
        if not user_agent.strip(" -"):
            return NO_AGENT
        user_agent = user_agent.encode("utf-8", "replace").decode()  # half a surrogate pair is no text to Rust
        bot = self._bots.extract(user_agent)
        parsed = self._parse(user_agent, Domain.USER_AGENT | Domain.OS)
        browser, system = parsed.user_agent, parsed.os
        family = browser.family if browser else ""
        if bot is not None:
            return _bot_name(bot.family, family), "", "", "bot", True
        os = system.family if system else ""
        version = (browser.major or "") if browser else ""
        return family[:MAX_NAME], version[:MAX_NAME], os[:MAX_NAME], _device(user_agent, os), False


def _bot_name(matched: str, family: str) -> str:
    name = matched.partition("(")[0].strip(" /;")
    # Some bots are known by their address; the browser list may have a name for them.
    return ((family if "/" in name else "") or name)[:MAX_NAME]


def _device(user_agent: str, os: str) -> str:
    if any(map(user_agent.__contains__, _OTHER_WORDS)):
        return "other"
    if any(map(user_agent.__contains__, _TABLET_WORDS)):
        return "tablet"
    if any(map(user_agent.__contains__, _MOBILE_WORDS)):
        return "mobile"
    if os == "Android":  # tablets leave out "Mobile"
        return "tablet"
    if os == "iOS":  # apps that name their network library only
        return "mobile"
    return "desktop" if os in _DESKTOP_SYSTEMS else "other"
