"""What enrichment may look at, and what comes out: one record each, for every step."""

from __future__ import annotations

from msgspec import Struct


class Facts(Struct, frozen=True, gc=False):
    """What is known of one event. Empty text is "not known".

    `host` is the site's own host, for addresses that are a path only. `ip` is looked up by the geo step and goes
    nowhere else.
    """

    url: str = ""
    referrer: str = ""
    user_agent: str = ""
    ip: str = ""
    session_id: str = ""
    visitor_id: str = ""
    occurred_at_ms: int = 0
    tenant: str = ""
    host: str = ""


class Enriched(Struct, frozen=True, gc=False):
    """All columns, in the order of the steps. Empty text is "not known", also where a step is off or failed."""

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


# What each step finds of an event. Plain tuples: they are taken apart for every event, which costs a named tuple twice
# as much.
Agent = tuple[str, str, str, str, bool]  # browser, version, system, device, is a bot
Referrer = tuple[str, str]  # type, name
Campaign = tuple[str, str, str, str, str, str, str]  # source, medium, campaign, term, content, click id: type, id
Place = tuple[str, str, str]  # country, region, city

NO_AGENT: Agent = ("", "", "", "", False)
NO_REFERRER: Referrer = ("", "")
NO_CAMPAIGN: Campaign = ("", "", "", "", "", "", "")
NO_PLACE: Place = ("", "", "")
