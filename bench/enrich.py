"""What enrichment costs an event, step by step: `.venv/bin/python -m bench.enrich`.

Traffic: 2,000 user agents, the common ones often; 30 % of addresses with a query, a third of those tagged by a
campaign, half of the tagged with a click id that no other event has; 20 % of events with a referrer, half of them
internal; 5 % without a session. Each run gets new events, as new strings: nothing is known but what the caches hold.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import crawleruseragents

from bench.timing import cpu_us, show
from core.settings import Settings
from streams.enrich.campaign import Campaigns
from streams.enrich.chain import Chain
from streams.enrich.facts import Facts
from streams.enrich.referrer import Referrers
from streams.enrich.session import Sessions
from streams.enrich.user_agent import UserAgents

_EVENTS = 10_000
_RUNS = 15
_WARM_UP = 2
_NOW_MS = 1_780_000_000_000
_AGENTS = 2_000
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_BROWSERS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/{{n}}.0.{{m}}.0 Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 15; SM-S9{{m}}B) {_WEBKIT} Chrome/{{n}}.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_{{n}} like Mac OS X) {_WEBKIT} Version/18.{{m}} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.{m}",
)
_REFERRERS = (
    *("https://www.google.com/", "https://www.bing.com/", "https://t.co/Xy{n}", "https://l.facebook.com/"),
    *("https://chatgpt.com/", "https://blog{n}.example/post", "https://mail.google.com/", "https://duckduckgo.com/"),
)


class Traffic:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        bots = [text for known in crawleruseragents.CRAWLER_USER_AGENTS_DATA for text in known["instances"]][:200]
        made = (self._random.choice(_BROWSERS).format(n=100 + n % 45, m=n) for n in range(_AGENTS - len(bots)))
        self.agents = [*made, *bots]
        self._often = [1 / (rank + 10) for rank in range(_AGENTS)]

    def batch(self) -> list[Facts]:
        agents = self._random.choices(self.agents, self._often, k=_EVENTS)
        # As new strings, whose hashes nobody has computed yet.
        return [self._event(agent.encode().decode()) for agent in agents]

    def _event(self, agent: str) -> Facts:
        roll = self._random.random
        url = f"https://shop.example/products/{self._random.randrange(500)}" + self._query()
        referrer = ""
        if roll() < 0.2:
            outside = self._random.choice(_REFERRERS).format(n=self._random.randrange(300))
            referrer = outside if roll() < 0.5 else f"https://www.shop.example/list/{self._random.randrange(500)}"
        visitor = str(uuid.UUID(int=self._random.randrange(3_000)))
        session = "" if roll() < 0.05 else visitor[::-1]
        return Facts(url, referrer, agent, "", session, visitor, _NOW_MS, "demo", "")

    def _query(self) -> str:
        kind = self._random.random()
        if kind >= 0.3:
            return ""
        if kind >= 0.1:
            return f"?page={self._random.randrange(20)}&sort=price"
        campaign = f"?utm_source=google&utm_medium=cpc&utm_campaign=c{self._random.randrange(50)}"
        return campaign + (f"&gclid={self._random.getrandbits(256):x}" if kind < 0.05 else "")


def _each(
    step: Callable[[list[Facts]], object], traffic: Traffic, *, only: Callable[[Facts], bool] = lambda _: True
) -> float:
    """CPU µs per event of the traffic, for the events that `only` lets through: the median of runs on new events.

    Events are made right before each run, as the worker makes them, and not timed.
    """
    times = []
    for _ in range(_RUNS + _WARM_UP):
        batch = [facts for facts in traffic.batch() if only(facts)]
        gc.collect()
        gc.freeze()
        started = time.process_time()
        step(batch)
        times.append(time.process_time() - started)
        gc.unfreeze()
    return statistics.median(times[_WARM_UP:]) / _EVENTS * 1e6


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def _loading() -> None:
    before, started = _resident_mib(), time.process_time()
    Chain(Settings())
    seconds = time.process_time() - started
    print(f"loading the lists: {seconds * 1e3:.0f} ms CPU, {_resident_mib() - before:.0f} MiB")


def main() -> None:
    _loading()
    traffic = Traffic(1)
    agents, sessions = UserAgents(), Sessions()
    cold = [Facts(user_agent=agent) for agent in traffic.agents]
    rows = [
        ("user agent and bot", _each(agents, traffic)),
        ("referrer", _each(Referrers(), traffic)),
        ("campaign", _each(Campaigns(), traffic)),
        ("session, where there is none", _each(sessions, traffic, only=lambda facts: not facts.session_id)),
        ("whole chain", _each(Chain(Settings()).apply, traffic)),
    ]
    show(rows, against="whole chain")

    def unknown() -> None:
        agents.memo.forget()
        agents(cold)

    show([("user agent, never seen", cpu_us(unknown, events=len(cold)))])


if __name__ == "__main__":
    main()
