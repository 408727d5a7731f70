"""What enrichment may look at, and what comes out of each step."""

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
