"""What the chain found, a row an event: easier to compare than columns."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from streams.enrich.chain import Chain
from streams.enrich.facts import Facts


class Enriched(Struct, frozen=True):
    ua_browser: str = ""
    ua_browser_version: str = ""
    ua_os: str = ""
    ua_device: str = ""
    is_bot: bool = False
    referrer_type: str = ""
    referrer_name: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    click_id_type: str = ""
    click_id: str = ""
    channel: str = ""
    geo_country: str = ""
    geo_region: str = ""
    geo_city: str = ""
    session_id: str = ""
    session_derived: bool = False


def rows(chain: Chain, batch: Sequence[Facts]) -> list[Enriched]:
    found = chain.apply(batch)
    made = iter(found.made)
    sessions = [facts.session_id or next(made) for facts in batch]
    steps = zip(found.agents, found.referrers, found.campaigns, found.places, strict=True)
    return [
        Enriched(*agent, *referrer, *campaign, channel, *place, session, derived)
        for (agent, referrer, campaign, place), channel, session, derived in zip(
            steps, found.channels, sessions, found.derived, strict=True
        )
    ]
