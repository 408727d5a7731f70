"""UTM parameters and click ids, from the query of the page's address.

Read as HTML forms write them (WHATWG URL, application/x-www-form-urlencoded): `+` is a blank, `%XX` are bytes of
UTF-8, what is not UTF-8 becomes U+FFFD. The first parameter of a name that has a value counts. Names are compared as
they are, in lower case; `&amp;`, left behind by a wrong link, is read as `&`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_plus

from streams.enrich.facts import NO_CAMPAIGN, Campaign, Facts
from streams.enrich.memo import Memo

MAX_VALUE = 256
# A click id that is cut is another one: a longer one is left out, its type stays.
MAX_CLICK_ID = 512
# Parameters that are looked at. More are an attack, or no link that somebody tagged.
_MAX_PARAMETERS = 64
# Queries: of a campaign many are alike, but each click id is new.
_REMEMBERED = 8_192
_MAX_REMEMBERED_QUERY = 512

_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
# In order of precedence, where an address has several. An advertisement's click says more than fbclid, which every
# link on Facebook gets.
CLICK_IDS = (
    *("gclid", "gbraid", "wbraid", "dclid", "msclkid", "yclid"),
    *("ttclid", "li_fat_id", "twclid", "sccid", "rdt_cid", "epik", "fbclid"),
)
_NAMES = (*_UTM, *CLICK_IDS)
# name as it is written → its place in `_NAMES`. Snapchat writes its own in mixed case.
_PLACES = {"ScCid" if name == "sccid" else name: place for place, name in enumerate(_NAMES)}
_CLICK_MARKS = ("clid=", "clkid=", "braid=", "_fat_id=", "_cid=", "Cid=")
_PLACES |= {f"amp;{written}": place for written, place in _PLACES.items()}


class Campaigns:
    name = "campaign"
    blank = NO_CAMPAIGN

    def __init__(self) -> None:
        self.memo: Memo[str, Campaign] = Memo(_read, size=_REMEMBERED)

    def __call__(self, batch: Sequence[Facts]) -> list[Campaign]:
        return [self._of(facts.url) if "?" in facts.url else NO_CAMPAIGN for facts in batch]

    def _of(self, url: str) -> Campaign:
        query = url.partition("?")[2]
        if not _may_tell(query):
            return NO_CAMPAIGN
        return self.memo[query] if len(query) <= _MAX_REMEMBERED_QUERY else _read(query)


def _may_tell(query: str) -> bool:
    # All names above hold one of these: most queries are done with after three looks. A loop would cost thrice as much.
    return "utm_" in query or "epik=" in query or ("id=" in query and any(map(query.__contains__, _CLICK_MARKS)))


def _read(query: str) -> Campaign:
    found = [""] * len(_NAMES)
    click = len(_NAMES)
    for parameter in query.partition("#")[0].split("&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]:
        written, _, value = parameter.partition("=")
        place = _PLACES.get(written)
        if place is None or found[place]:
            continue
        if "%" in value or "+" in value:
            value = unquote_plus(value)
        found[place] = value = value.strip()
        if value and len(_UTM) <= place < click:
            click = place
    if not any(found):
        return NO_CAMPAIGN
    source, medium, campaign, term, content = [value[:MAX_VALUE] for value in found[: len(_UTM)]]
    if click == len(_NAMES):
        return source, medium, campaign, term, content, "", ""
    click_id = found[click] if len(found[click]) <= MAX_CLICK_ID else ""
    return source, medium, campaign, term, content, _NAMES[click], click_id
