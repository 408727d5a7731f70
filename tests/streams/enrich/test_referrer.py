"""Where visitors come from, and which hosts are one site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.enrich import sources
from streams.enrich.facts import Facts
from streams.enrich.hosts import Sites, host_of
from streams.enrich.referrer import Referrers

PAGE = "https://www.shop.example/lamps?page=2"
TYPES = {"direct", "internal", "search", "social", "email", "paid", "ai", "referral"}


@pytest.fixture(scope="module")
def referrers() -> Referrers:
    return Referrers()


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("", ("direct", "")),
        ("-", ("direct", "")),
        ("about:blank", ("direct", "")),
        ("/a/path", ("direct", "")),
        ("/redirect?to=https://google.com/", ("direct", "")),
        ("https:///no-host", ("direct", "")),
        ("https://www.shop.example/", ("internal", "shop.example")),
        ("https://blog.shop.example/post", ("internal", "shop.example")),
        ("HTTPS://SHOP.EXAMPLE", ("internal", "shop.example")),
        ("https://me:secret@shop.example:8443/x", ("internal", "shop.example")),
        ("https://othershop.example/", ("referral", "othershop.example")),
        ("https://shop.example.evil.example/", ("referral", "evil.example")),
        ("https://evil.example/?u=https://shop.example/", ("referral", "evil.example")),
        ("https://evil.example#@shop.example/", ("referral", "evil.example")),
        ("https://news.somewhere.co.uk/story", ("referral", "somewhere.co.uk")),
        ("https://www.google.com/", ("search", "Google")),
        ("https://www.google.co.uk/search?q=lamps", ("search", "Google")),
        ("https://google.de?q=x", ("search", "Google")),
        ("https://mail.google.com/mail/u/0/", ("email", "Gmail")),
        ("https://docs.google.com/document/d/1", ("referral", "Google Docs")),
        ("https://gemini.google.com/app", ("ai", "Gemini")),
        ("https://google.evil.example/", ("referral", "evil.example")),
        ("https://www.bing.com/", ("search", "Bing")),
        ("https://copilot.microsoft.com/", ("ai", "Copilot")),
        ("https://search.yahoo.co.jp/search", ("search", "Yahoo")),
        ("https://yandex.com.tr/", ("search", "Yandex")),
        ("https://l.facebook.com/l.php?u=x", ("social", "Facebook")),
        ("https://t.co/abc", ("social", "X")),
        ("https://pinterest.co.uk/pin/1", ("social", "Pinterest")),
        ("https://chatgpt.com/", ("ai", "ChatGPT")),
        ("https://www.perplexity.ai/", ("ai", "Perplexity")),
        ("https://claude.ai/chat/1", ("ai", "Claude")),
        ("https://outlook.live.com/", ("email", "Outlook")),
        ("https://googleads.g.doubleclick.net/pagead", ("paid", "Google Ads")),
        ("https://r.search.yahoo.com/x", ("search", "Yahoo")),
        ("android-app://com.google.android.gm/", ("email", "Gmail")),
        ("android-app://com.google.android.googlequicksearchbox/https/www.google.com", ("search", "Google")),
        ("android-app://com.acme.shop", ("referral", "com.acme.shop")),
        ("https://192.0.2.7/x", ("referral", "192.0.2.7")),
        ("http://localhost:3000/", ("referral", "localhost")),
        ("http://[2001:db8::1]:80/", ("referral", "2001:db8::1")),
        ("https://" + "a" * 300 + ".example/", ("direct", "")),
    ],
)
def test_a_referrer(referrers: Referrers, referrer: str, expected: tuple[str, str]) -> None:
    assert referrers([Facts(url=PAGE, referrer=referrer)]) == [expected]


@pytest.mark.parametrize(
    ("page", "referrer", "type_"),
    [
        ("https://a.github.io/", "https://b.github.io/", "referral"),  # hosting companies are no site
        ("https://a.co.uk/", "https://b.co.uk/", "referral"),
        ("https://a.co.uk/", "https://www.a.co.uk/", "internal"),
        ("http://192.0.2.7/", "http://192.0.2.7:81/", "internal"),
        ("http://192.0.2.7/", "http://192.0.3.7/", "referral"),
        ("https://www.google.com/x", "https://www.google.com/", "internal"),  # the page is Google's own
        ("android-app://com.acme.shop", "android-app://com.acme.shop", "internal"),
    ],
)
def test_internal_is_the_same_site(referrers: Referrers, page: str, referrer: str, type_: str) -> None:
    assert referrers([Facts(url=page, referrer=referrer)])[0][0] == type_


def test_a_page_that_is_a_path_needs_the_sites_host(referrers: Referrers) -> None:
    referrer = "https://shop.example/a"
    assert referrers([Facts(url="/b", referrer=referrer, host="WWW.shop.example")]) == [("internal", "shop.example")]
    assert referrers([Facts(url="/b", referrer=referrer)]) == [("referral", "shop.example")]


def test_paths_do_not_fill_the_cache() -> None:
    referrers = Referrers()
    referrers([Facts(url=f"/{n}/page", referrer=f"https://t.co/{n}/x", host="shop.example") for n in range(50)])
    assert referrers.memo.remembered == 1


def test_the_list_is_of_hosts() -> None:
    for host in (*sources.HOSTS, *sources.NOT_SEARCH):
        assert host_of(f"https://{host}/") == host
    count = sum(len(hosts.split()) for names in sources._BY_TYPE.values() for hosts in names.values())
    assert count == len(sources.HOSTS), "a host is listed twice"
    assert not set(sources.HOSTS) & set(sources.NOT_SEARCH)


@given(
    st.text(), st.text(), st.sampled_from(["", "https://", "http://a.example/", "//", "android-app://", "https://["])
)
def test_any_text_has_a_type_and_a_bounded_name(referrers: Referrers, page: str, text: str, start: str) -> None:
    ((type_, name),) = referrers([Facts(url=page, referrer=start + text, host=page)])
    assert type_ in TYPES
    assert len(name) <= 253


@given(st.text() | st.from_regex(r"https://[a-z.\[\]:@?#/\\]{0,30}", fullmatch=True))
def test_a_site_is_of_the_host_and_stands_for_itself(address: str) -> None:
    host = host_of(address)
    site = _SITES.site(host)
    assert host == site or host.endswith("." + site)
    assert _SITES.site(site) == site


_SITES = Sites()
