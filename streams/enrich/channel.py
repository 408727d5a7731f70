"""One word for what brought the visitor, from the referrer and the campaign. The first rule that fits counts.

| channel | rule |
|---|---|
| paid_search | `gclid`, `gbraid`, `wbraid`, `msclkid`, `yclid`; paid medium, and none of the next two |
| paid_social | `ttclid`, `li_fat_id`, `twclid`, `sccid`, `rdt_cid`; paid medium that says so, or of a social source |
| display | `dclid`; paid medium of an advertising network; medium `display` and its like |
| email, affiliate, organic_social, referral | the medium says so |
| by source | its name or host is in `sources.py`: organic_search, organic_social, email, display, ai |
| organic_search, organic_social | medium `organic`; `fbclid`, `epik` |
| by referrer | organic_search, organic_social, email, display, ai; without a campaign also referral, internal, direct |
| other | a campaign that fits none of these |

Paid media are `cpc`, `ppc`, `cpa`, `cpv`, `sem`, `paid`, and what begins with `paid`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streams.enrich.facts import Campaign, Referrer
from streams.enrich.memo import Memo
from streams.enrich.sources import BY_NAME, HOSTS

_REMEMBERED = 4_096

_BY_CLICK: Final = {
    **dict.fromkeys(("gclid", "gbraid", "wbraid", "msclkid", "yclid"), "paid_search"),
    **dict.fromkeys(("ttclid", "li_fat_id", "twclid", "sccid", "rdt_cid"), "paid_social"),
    "dclid": "display",
}
_PAID: Final = frozenset({"cpc", "ppc", "cpa", "cpv", "sem"})
_BY_MEDIUM: Final = {
    **dict.fromkeys(("display", "banner", "cpm", "interstitial", "expandable"), "display"),
    **dict.fromkeys(("email", "e-mail", "e_mail", "mail", "newsletter"), "email"),
    **dict.fromkeys(("affiliate", "affiliates", "partner"), "affiliate"),
    **dict.fromkeys(
        ("social", "social-network", "social-media", "social_media", "sm", "organic_social"), "organic_social"
    ),
    "referral": "referral",
}
# Without a campaign.
BY_REFERRER: Final = {
    "": "",
    "direct": "direct",
    "internal": "internal",
    "search": "organic_search",
    "social": "organic_social",
    "email": "email",
    "paid": "display",
    "ai": "ai",
    "referral": "referral",
}
# Where somebody came from outside; direct and internal do not explain a campaign.
_OUTSIDE: Final = frozenset({"search", "social", "email", "paid", "ai"})
# referrer type, source, medium, click id type
_Key = tuple[str, str, str, str]


class Channels:
    """Of visits that a campaign's address began: takes pairs of what the referrer and the campaign step found."""

    name = "channel"
    blank = ""

    def __init__(self) -> None:
        self.memo: Memo[_Key, str] = Memo(lambda key: channel(*key), size=_REMEMBERED)

    def __call__(self, batch: Sequence[tuple[Referrer, Campaign]]) -> list[str]:
        return [
            self.memo[referrer_type, source, medium, click_id_type]
            for (referrer_type, _name), (source, medium, *_, click_id_type, _id) in batch
        ]


def channel(referrer_type: str, source: str, medium: str, click_id_type: str) -> str:
    """The channel of a visit that a campaign's address began, by the rules above."""
    source, medium = source.lower(), medium.lower()
    source_type = BY_NAME.get(source) or HOSTS.get(source, ("",))[0]
    return (
        _BY_CLICK.get(click_id_type)
        or _by_medium(medium, source_type)
        or (BY_REFERRER[source_type] if source_type in _OUTSIDE else "")
        or ("organic_search" if medium == "organic" else "")
        or ("organic_social" if click_id_type else "")
        or (BY_REFERRER[referrer_type] if referrer_type in _OUTSIDE else "other")
    )


def _by_medium(medium: str, source_type: str) -> str:
    if medium not in _PAID and not medium.startswith("paid"):
        return _BY_MEDIUM.get(medium, "")
    if source_type == "paid":
        return "display"
    return "paid_social" if source_type == "social" or "social" in medium else "paid_search"
