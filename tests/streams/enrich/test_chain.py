"""All steps together: columns, switches, failures, privacy, and that the same events become the same rows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import Settings, variable
from streams.enrich.chain import Chain
from streams.enrich.facts import Facts
from streams.enrich.guard import WINDOW_EVENTS, WINDOWS_IN_A_ROW
from streams.enrich.referrer import Referrers
from streams.enrich.user_agent import UserAgents
from tests.streams.enrich.mmdb import mmdb
from tests.streams.enrich.rows import Enriched, rows

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
    "Mobile/15E148 Safari/604.1"
)
FACTS = Facts(
    url="https://shop.example/lamps?utm_source=google&utm_medium=cpc&utm_campaign=spring&gclid=Cj0K",
    referrer="https://www.google.com/",
    user_agent=SAFARI,
    ip="192.0.2.7",
    session_id="s-1",
    visitor_id="v-1",
    occurred_at_ms=1_780_000_000_000,
    tenant="demo",
)
ROW = Enriched(
    ua_browser="Mobile Safari",
    ua_browser_version="18",
    ua_os="iOS",
    ua_device="mobile",
    referrer_type="search",
    referrer_name="Google",
    utm_source="google",
    utm_medium="cpc",
    utm_campaign="spring",
    click_id_type="gclid",
    click_id="Cj0K",
    channel="paid_search",
    session_id="s-1",
)
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(Settings())


def without(row: Enriched, *starts: str) -> Enriched:
    """`row` with the defaults where a column's name starts so."""
    default = msgspec.structs.asdict(Enriched())
    return replace(row, **{name: value for name, value in default.items() if name.startswith(starts)})


def test_all_columns(chain: Chain) -> None:
    bot = replace(FACTS, user_agent="curl/8.5.0", url="https://shop.example/", referrer="", session_id="")
    first, second = rows(chain, [FACTS, bot])
    assert first == ROW
    assert second == Enriched(
        ua_browser="curl",
        ua_device="bot",
        is_bot=True,
        referrer_type="direct",
        channel="direct",
        session_id=second.session_id,
        session_derived=True,
    )
    assert len(second.session_id) == 36


def test_no_events(chain: Chain) -> None:
    assert rows(chain, []) == []


def test_nothing_known(chain: Chain) -> None:
    assert rows(chain, [Facts()]) == [Enriched(referrer_type="direct", channel="direct")]


def test_geo(tmp_path: Path) -> None:
    path = tmp_path / "a.mmdb"
    path.write_bytes(mmdb({"192.0.2.0/24": {"country": {"iso_code": "AT"}}}))
    chain = Chain(Settings(enrich_geo_mmdb=str(path)))
    assert rows(chain, [FACTS]) == [replace(ROW, geo_country="AT")]
    path.unlink()
    assert rows(Chain(Settings(enrich_geo_mmdb=str(path))), [FACTS]) == [ROW]


@pytest.mark.parametrize(
    ("setting", "starts"),
    [
        ("enrich_user_agent", ("ua_", "is_bot")),
        ("enrich_referrer", ("referrer_", "channel")),
        ("enrich_campaign", ("utm_", "click_id", "channel")),
        ("enrich_session", ()),
    ],
)
def test_a_step_that_is_switched_off(setting: str, starts: tuple[str, ...]) -> None:
    chain = Chain(Settings.from_env({variable(setting): "0"}))
    assert rows(chain, [FACTS]) == [without(ROW, *starts) if starts else ROW]


def test_all_switched_off() -> None:
    settings = Settings(enrich_user_agent=False, enrich_referrer=False, enrich_campaign=False, enrich_session=False)
    found = rows(Chain(settings), [FACTS, replace(FACTS, session_id="")])
    assert found == [Enriched(session_id="s-1"), Enriched()]


def test_a_failing_step_costs_its_columns_of_that_event(monkeypatch: pytest.MonkeyPatch) -> None:
    classify = UserAgents._classify

    def fails(self: UserAgents, user_agent: str) -> object:
        if user_agent == "boom":
            raise RuntimeError(user_agent)
        return classify(self, user_agent)

    monkeypatch.setattr(UserAgents, "_classify", fails)
    found = rows(Chain(Settings()), [FACTS, replace(FACTS, user_agent="boom"), FACTS])
    assert found == [ROW, without(ROW, "ua_", "is_bot"), ROW]


def test_a_failing_referrer_leaves_the_campaigns_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Referrers, "_classify", lambda *_: 1 / 0)
    assert rows(Chain(Settings()), [FACTS]) == [without(ROW, "referrer_")]


def test_a_slow_step_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def slow(self: UserAgents, batch: list[Facts]) -> list[tuple[str, str, str, str, bool]]:
        now[0] += len(batch) * 30e-6
        return [("x", "", "", "", False)] * len(batch)

    monkeypatch.setattr(UserAgents, "__call__", slow)
    chain = Chain(Settings(enrich_budget_us=20), clock=lambda: now[0])
    batch = [FACTS] * WINDOW_EVENTS
    for _ in range(WINDOWS_IN_A_ROW):
        assert rows(chain, batch)[0].ua_browser == "x"
    assert rows(chain, batch) == [without(ROW, "ua_")] * WINDOW_EVENTS


TEXTS = st.text(max_size=40)
ANY_FACTS = st.builds(
    Facts,
    url=TEXTS | TEXTS.map("https://shop.example/?utm_source=".__add__),
    referrer=TEXTS | TEXTS.map("https://".__add__),
    user_agent=TEXTS | st.sampled_from([SAFARI, "curl/8.5.0"]),
    ip=st.ip_addresses().map(lambda ip: f"ip-{ip}"),
    session_id=st.just("") | TEXTS,
    visitor_id=TEXTS,
    occurred_at_ms=st.integers(-(2**63), 2**63 - 1),
    tenant=TEXTS,
    host=TEXTS,
)


@given(st.lists(ANY_FACTS, max_size=8))
def test_any_events_have_rows_that_depend_on_nothing_else(chain: Chain, batch: list[Facts]) -> None:
    found = rows(chain, batch)
    assert found == [row for facts in batch for row in rows(chain, [facts])]
    assert [row.session_id for row, facts in zip(found, batch, strict=True) if facts.session_id] == [
        facts.session_id for facts in batch if facts.session_id
    ]


@given(st.lists(ANY_FACTS, max_size=5))
def test_the_address_is_in_no_column(chain: Chain, batch: list[Facts]) -> None:
    for facts, row in zip(batch, rows(chain, batch), strict=True):
        assert all(facts.ip not in str(value) for value in msgspec.structs.astuple(row))


def test_a_fresh_worker_gives_the_same_rows(chain: Chain) -> None:
    batch = [replace(FACTS, visitor_id=str(n), session_id="", url=f"/{n}?gclid={n}") for n in range(50)]
    assert rows(Chain(Settings()), batch[::-1])[::-1] == rows(chain, batch)
