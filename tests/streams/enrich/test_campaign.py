"""UTM parameters and click ids of addresses, and the channel they stand for."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.enrich.campaign import CLICK_IDS, MAX_CLICK_ID, MAX_VALUE, Campaigns
from streams.enrich.channel import BY_REFERRER, Channels, channel
from streams.enrich.facts import NO_CAMPAIGN, Campaign, Facts
from streams.enrich.sources import _BY_TYPE


def of(query: str) -> Campaign:
    (row,) = Campaigns()([Facts(url=f"https://shop.example/{query}")])
    return row


def utm(source: str = "", medium: str = "", campaign: str = "", term: str = "", content: str = "") -> Campaign:
    return source, medium, campaign, term, content, "", ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", NO_CAMPAIGN),
        ("?", NO_CAMPAIGN),
        ("?page=2&sort=price", NO_CAMPAIGN),
        ("?utm_source=", NO_CAMPAIGN),
        ("?utm_source", NO_CAMPAIGN),
        ("?utm_source=%20+", NO_CAMPAIGN),
        ("#utm_source=a", NO_CAMPAIGN),
        ("#x?utm_source=a", utm("a")),  # a router that keeps its query behind the fragment
        ("?xutm_source=a&UTM_MEDIUM=b", NO_CAMPAIGN),
        ("?utm_source=a&utm_medium=b&utm_campaign=c&utm_term=d&utm_content=e", utm("a", "b", "c", "d", "e")),
        ("?a=1&utm_source=mail#utm_medium=x", utm("mail")),
        ("?utm_source=a&utm_source=b", utm("a")),
        ("?utm_source=&utm_source=b", utm("b")),
        ("?utm_campaign=spring+sale%21", utm(campaign="spring sale!")),
        ("?utm_campaign=a%2Bb%26c%3Dd", utm(campaign="a+b&c=d")),
        ("?utm_campaign=caf%C3%A9", utm(campaign="café")),
        ("?utm_campaign=%E9t%E9", utm(campaign="\ufffdt\ufffd")),
        ("?utm_campaign=100%&utm_term=%zz%4", utm(campaign="100%", term="%zz%4")),
        ("?utm_campaign=a=b", utm(campaign="a=b")),
        ("?utm_source=a&amp;utm_medium=b", utm("a", "b")),
        ("?utm_source=" + "a" * 300, utm("a" * MAX_VALUE)),
        ("?gclid=Cj0K-_w", ("", "", "", "", "", "gclid", "Cj0K-_w")),
        ("?fbclid=f&gclid=g", ("", "", "", "", "", "gclid", "g")),
        ("?fbclid=f&utm_source=ig", ("ig", "", "", "", "", "fbclid", "f")),
        ("?ScCid=s", ("", "", "", "", "", "sccid", "s")),
        ("?gclid=" + "g" * (MAX_CLICK_ID + 1), ("", "", "", "", "", "gclid", "")),  # a part of an id is another id
        ("?" + "x&" * 63 + "utm_source=a", utm("a")),
        ("?" + "x&" * 64 + "utm_source=a", NO_CAMPAIGN),
    ],
)
def test_a_query(query: str, expected: Campaign) -> None:
    assert of(query) == expected


@pytest.mark.parametrize("name", CLICK_IDS)
def test_each_click_id_is_found(name: str) -> None:
    assert of(f"?{'ScCid' if name == 'sccid' else name}=abc")[5:] == (name, "abc")


@given(st.text() | st.from_regex(r"\?(utm_source|gclid|%|&|=|\+|#|;|[%0-9A-F]{3}){0,40}", fullmatch=True))
def test_any_text_is_read_and_bounded(text: str) -> None:
    *utm_values, click_id_type, click_id = of(text)
    assert all(len(value) <= MAX_VALUE for value in utm_values)
    assert click_id_type in {"", *CLICK_IDS}
    assert len(click_id) <= MAX_CLICK_ID


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=20), min_size=5))
def test_what_a_form_writes_is_read_back(values: list[str]) -> None:
    names = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    query = urlencode(dict(zip(names, values, strict=False)))
    assert of(f"?{query}") == utm(*values[:5])


def test_the_cache_holds_no_long_queries() -> None:
    campaigns = Campaigns()
    for n in range(5):
        campaigns([Facts(url=f"https://a.example/?utm_source={n}&x={'y' * 600}")])
    assert campaigns.memo.remembered == 0


@pytest.mark.parametrize(
    ("referrer", "source", "medium", "click", "expected"),
    [
        ("search", "google", "cpc", "gclid", "paid_search"),
        ("direct", "", "", "msclkid", "paid_search"),
        ("search", "Google", "CPC", "", "paid_search"),
        ("direct", "facebook", "cpc", "", "paid_social"),
        ("direct", "facebook.com", "paid", "fbclid", "paid_social"),
        ("direct", "acme", "paid-social", "", "paid_social"),
        ("social", "", "", "ttclid", "paid_social"),
        ("direct", "outbrain", "cpc", "", "display"),
        ("direct", "", "", "dclid", "display"),
        ("direct", "acme", "banner", "", "display"),
        ("direct", "newsletter", "", "", "email"),
        ("direct", "acme", "E-Mail", "", "email"),
        ("direct", "acme", "affiliate", "", "affiliate"),
        ("direct", "acme", "organic", "", "organic_search"),
        ("direct", "instagram", "organic", "", "organic_social"),
        ("direct", "chatgpt.com", "", "", "ai"),
        ("social", "", "", "fbclid", "organic_social"),
        ("direct", "", "", "fbclid", "organic_social"),
        ("search", "acme", "", "", "organic_search"),
        ("paid", "acme", "", "", "display"),
        ("referral", "acme", "sponsoring", "", "other"),
        ("internal", "acme", "", "", "other"),
        ("", "acme", "referral", "", "referral"),
    ],
)
def test_a_channel_of_a_campaign(referrer: str, source: str, medium: str, click: str, expected: str) -> None:
    assert channel(referrer, source, medium, click) == expected
    assert Channels()([((referrer, ""), (source, medium, "", "", "", click, ""))]) == [expected]


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("direct", "direct"),
        ("internal", "internal"),
        ("search", "organic_search"),
        ("social", "organic_social"),
        ("email", "email"),
        ("paid", "display"),
        ("ai", "ai"),
        ("referral", "referral"),
    ],
)
def test_a_channel_without_campaign(referrer: str, expected: str) -> None:
    assert BY_REFERRER[referrer] == expected
    assert set(BY_REFERRER) == {"", "direct", "internal", "referral", *_BY_TYPE}, "every type has one"
