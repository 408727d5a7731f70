"""Where the visitor came from, by the host of the referrer.

| type | when |
|---|---|
| direct | no referrer, or none that names a host |
| internal | the same site as the page, or the same host |
| search, social, email, paid, ai | a host of `sources.HOSTS`, or of a company in `sources.LABELS` |
| referral | every other |

The name is that of the list, for a referral its site. A page whose host is not known has no internal referrers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.enrich.facts import NO_REFERRER, Facts, Referrer
from streams.enrich.hosts import Sites, host_of
from streams.enrich.memo import Memo
from streams.enrich.sources import HOSTS, LABELS, NOT_SEARCH

# Pairs of referring host and own host; a few sites refer most visitors.
_REMEMBERED = 8_192
# Where the path of an address begins at the earliest: behind `http://` and a letter, behind `android-app://`.
_WEB_PATH, _APP_PATH = 8, 14
# What is longer before its path holds no host, and shall not fill the cache.
_MAX_ORIGIN = 512
DIRECT: Referrer = ("direct", "")
# What stands where the host does is the name of the app, which is in no public suffix list.
_APPS = ("android-app:", "ios-app:")


class Referrers:
    name = "referrer"
    blank = NO_REFERRER

    def __init__(self) -> None:
        self._sites = Sites()
        self.memo: Memo[tuple[str, str, str], Referrer] = Memo(self._classify, size=_REMEMBERED)

    def __call__(self, batch: Sequence[Facts]) -> list[Referrer]:
        return [self._of(facts) if facts.referrer else DIRECT for facts in batch]

    def _of(self, facts: Facts) -> Referrer:
        url = facts.url
        # A path: what host it is on, only the site's own name can tell.
        return self.memo[_origin(facts.referrer), "" if url.startswith("/") else _origin(url), facts.host]

    def _classify(self, key: tuple[str, str, str]) -> Referrer:
        referrer, url, host = key
        theirs, ours = host_of(referrer), host_of(url) or host.lower()
        if not theirs:
            return DIRECT
        site = theirs if referrer.startswith(_APPS) else self._sites.site(theirs)
        if ours and (theirs == ours or site == self._sites.site(ours)):
            return "internal", site
        for host in _self_and_parents(theirs):
            if host in NOT_SEARCH:
                return "referral", NOT_SEARCH[host]
            if host in HOSTS:
                return HOSTS[host]
        return LABELS.get(site.partition(".")[0]) or ("referral", site)


def _origin(address: str) -> str:
    """The part of `address` that its host can be in."""
    end = address.find("/", _WEB_PATH if address.startswith("http") else _APP_PATH)
    return address[: end if 0 <= end <= _MAX_ORIGIN else _MAX_ORIGIN]


def _self_and_parents(host: str) -> Iterator[str]:
    """`a.b.c`, `b.c`, `c`."""
    while host:
        yield host
        host = host.partition(".")[2]
