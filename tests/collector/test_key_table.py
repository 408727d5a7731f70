"""The table of keys: its merge, and what it says to a text."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import key_entries, key_text, origins
from collector.key_entries import KEY, REVOKED, USED, KeyRecord, Revocation
from collector.key_table import KeyTable
from collector.key_text import KeyText, Pepper, id_of
from collector.keys import Grant, Refusal
from core.clock import ManualClock

PEPPER = Pepper("pepper")
NOW_MS = 1_767_225_600_000
BOOTSTRAP = "slc_live_a-bootstrap_key"


def record(key: KeyText, **fields: object) -> KeyRecord:
    base = {
        "id": key.id,
        "tenant": "shop",
        "kind": "server",
        "mode": key.mode,
        "hash": PEPPER.hash(key.text).hex(),
        "pepper": PEPPER.fingerprint,
        "created_at_ms": NOW_MS,
    }
    return KeyRecord(**(base | fields))  # type: ignore[arg-type]


def entry(made: KeyRecord) -> tuple[str, bytes]:
    return f"{KEY}{made.id}", key_entries.encode(made)


def revocation(key_id: str, at_ms: int = NOW_MS) -> tuple[str, bytes]:
    return f"{REVOKED}{key_id}", key_entries.encode(Revocation(at_ms, "ops", "leaked"))


def table(*entries: tuple[str, bytes | None], clock: ManualClock | None = None) -> KeyTable:
    made = KeyTable(
        pepper=PEPPER,
        bootstrap_key=BOOTSTRAP,
        bootstrap_tenant="demo",
        clock=clock or ManualClock(now_ms=NOW_MS),
    )
    for name, value in entries:
        made.take(name, value)
    made.loaded = True
    return made


KEY_1 = key_text.mint("live")


def test_a_key_gives_its_tenant() -> None:
    found = table(entry(record(KEY_1, requests_per_minute=7))).find(KEY_1.text)
    assert found == Grant("shop", KEY_1.id, 7)
    assert table().find(BOOTSTRAP) == Grant("demo", "bootstrap")


def test_the_text_can_be_read_and_is_not_shown() -> None:
    assert KEY_1.text.startswith(f"slc_live_{KEY_1.id}_")
    assert id_of(KEY_1.text) == KEY_1.id
    assert KEY_1.text not in repr(KEY_1)
    assert len({key_text.mint("test").text for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    ["", "slc_live_", KEY_1.text[:-1], KEY_1.text + "x", f" {KEY_1.text}", "\ud800", "ü"],
    ids=range(7),  # the key is another one in every process
)
def test_what_is_no_key(text: str) -> None:
    assert table(entry(record(KEY_1))).find(text) == Refusal("unknown_key")


def test_why_a_key_does_not_work() -> None:
    other = KeyText("live", KEY_1.id, KEY_1.text[:-1] + ("a" if KEY_1.text[-1] != "a" else "b"))
    known = entry(record(KEY_1))
    assert table(known).find(other.text) == Refusal("wrong_secret", key_id=KEY_1.id)
    assert table(known, revocation(KEY_1.id)).find(other.text) == Refusal("wrong_secret", key_id=KEY_1.id)
    assert table(known, revocation(KEY_1.id)).find(KEY_1.text) == Refusal("revoked_key", "shop", KEY_1.id)
    # The same secret as a test key is another key.
    assert table(known).find(KEY_1.text.replace("live", "test", 1)) == Refusal("wrong_secret", key_id=KEY_1.id)


def test_before_the_keys_are_read_nothing_is_unknown() -> None:
    made = table()
    made.loaded = False
    assert made.find(KEY_1.text) == Refusal("not_loaded")
    assert made.find(BOOTSTRAP) == Grant("demo", "bootstrap")


def test_a_key_expires() -> None:
    clock = ManualClock(now_ms=NOW_MS)
    made = table(entry(record(KEY_1, expires_at_ms=NOW_MS + 1000)), clock=clock)
    assert isinstance(made.find(KEY_1.text), Grant)
    clock.advance(1)
    assert made.find(KEY_1.text) == Refusal("expired_key", "shop", KEY_1.id)


def test_rotation_overlaps() -> None:
    clock = ManualClock(now_ms=NOW_MS)
    new = key_text.mint("live")
    made = table(
        entry(record(KEY_1)),
        entry(record(new, replaces=KEY_1.id, replaced_ends_at_ms=NOW_MS + 60_000)),
        clock=clock,
    )
    assert [isinstance(made.find(each.text), Grant) for each in (KEY_1, new)] == [True, True]
    old = made.get(KEY_1.id)
    assert old is not None
    assert old.status(NOW_MS) == "replaced"
    clock.advance(60)
    assert [isinstance(made.find(each.text), Grant) for each in (KEY_1, new)] == [False, True]


def test_a_browser_key_is_bound_to_its_pages() -> None:
    key = key_text.mint_browser("live", pepper=PEPPER)
    made = table(entry(record(key, kind="browser", origins=("https://shop.example", "https://*.shop.example"))))
    for origin in ("https://shop.example", "https://a.shop.example", "https://b.a.shop.example"):
        assert isinstance(made.find(key.text, origin), Grant)
    for origin in (
        *("", "null", "http://shop.example", "https://shop.example.evil", "https://evilshop.example"),
        *(
            "https://a.shop.example:444",
            "https://evil/.shop.example",
            "https://.shop.example",
            "https://*.shop.example.",
        ),
    ):
        assert made.find(key.text, origin) == Refusal("origin", "shop", key.id), origin


def test_a_browser_key_may_be_for_requests_that_name_no_page() -> None:
    key = key_text.mint_browser("live", pepper=PEPPER)
    made = table(entry(record(key, kind="browser", origins=("none",))))
    found = made.find(key.text)
    assert isinstance(found, Grant)
    assert found.browser
    for origin in ("none", "null", "https://shop.example"):
        assert made.find(key.text, origin) == Refusal("origin", "shop", key.id)


def test_a_browser_key_can_be_shown_again() -> None:
    key = key_text.mint_browser("test", pepper=PEPPER)
    assert key_text.derive("test", key.id, pepper=PEPPER) == key
    assert key_text.derive("test", key.id, pepper=Pepper("other")) != key
    assert id_of(key.text) == key.id


@pytest.mark.parametrize(
    ("origin", "normal"),
    [
        ("https://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://*.shop.example", "https://*.shop.example"),
        *(
            (bad, None)
            for bad in ("*", "https://*", "shop.example", "null", "https://a/", "https://a b", "file://", "")
        ),
        *((bad, None) for bad in ("https://a.*.b", "https://-a", "https://a:0", "https://a:", "https://" + "a" * 300)),
    ],
)
def test_origins_have_one_form(origin: str, normal: str | None) -> None:
    assert origins.normal(origin) == normal


def test_a_key_of_another_pepper_does_not_work(caplog: pytest.LogCaptureFixture) -> None:
    foreign = record(KEY_1, hash=Pepper("other").hash(KEY_1.text).hex(), pepper=Pepper("other").fingerprint)
    assert table(entry(foreign)).find(KEY_1.text) == Refusal("wrong_secret", key_id=KEY_1.id)
    assert "keys.other_pepper" in caplog.text


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"null", b"\xff", b'{"id":"other"}', key_entries.encode(record(KEY_1, hash="00"))]
)
def test_an_entry_that_cannot_be_read_changes_nothing(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    made = table(entry(record(KEY_1)), (f"{KEY}{KEY_1.id}", value), (f"{KEY}other", value), ("key-usedX", value))
    assert isinstance(made.find(KEY_1.text), Grant)
    assert made.get("other") is None
    assert "keys.entry_refused" in caplog.text


def test_use_is_told_once_in_a_while() -> None:
    made = table(entry(record(KEY_1)))
    made.find(KEY_1.text)
    assert made.used_since(NOW_MS - 1) == {KEY_1.id: NOW_MS}
    assert made.used_since(NOW_MS - 1) == {}
    made.take(f"{USED}{KEY_1.id}", str(NOW_MS).encode())
    made.find(KEY_1.text)
    assert made.used_since(NOW_MS - 1) == {}  # it is known already


# -- the merge

TEXTS = [key_text.mint("live") for _ in range(3)]


@dataclass(frozen=True)
class Entry:
    name: str
    value: bytes | None


def _record(text: KeyText, made_ms: int, replaces: KeyText | None, ends_ms: int) -> Entry:
    fields = {"replaces": replaces.id, "replaced_ends_at_ms": ends_ms} if replaces and replaces != text else {}
    return Entry(*entry(record(text, created_at_ms=made_ms, **fields)))


MOMENTS = st.integers(NOW_MS - 5, NOW_MS + 5)
ENTRIES = st.one_of(
    st.builds(_record, st.sampled_from(TEXTS), MOMENTS, st.none() | st.sampled_from(TEXTS), MOMENTS),
    st.builds(lambda text, at: Entry(*revocation(text.id, at)), st.sampled_from(TEXTS), MOMENTS),
    st.builds(lambda text: Entry(f"{REVOKED}{text.id}", None), st.sampled_from(TEXTS)),
    st.builds(lambda text: Entry(f"{KEY}{text.id}", None), st.sampled_from(TEXTS)),
    st.builds(lambda text, at: Entry(f"{USED}{text.id}", str(at).encode()), st.sampled_from(TEXTS), MOMENTS),
)


def state(entries: list[Entry]) -> list[object]:
    made = table(*((each.name, each.value) for each in entries))
    return [*made.all(), *(made.find(text.text) for text in TEXTS)]


@given(st.lists(ENTRIES, max_size=8).flatmap(lambda each: st.tuples(st.just(each), st.permutations(each))))
def test_the_order_of_entries_does_not_matter(orders: tuple[list[Entry], list[Entry]]) -> None:
    first, second = orders
    assert state(first) == state(second)


@given(st.lists(ENTRIES, max_size=8), st.integers(0, 8))
def test_entries_may_come_again(entries: list[Entry], at: int) -> None:
    assert state(entries) == state([*entries, *entries[at:]])


@given(st.lists(ENTRIES, max_size=10), st.sampled_from(TEXTS), MOMENTS, st.integers(0, 10))
def test_a_revoked_key_never_works_again(entries: list[Entry], text: KeyText, at_ms: int, where: int) -> None:
    revoked = Entry(*revocation(text.id, at_ms))
    made = table(*((each.name, each.value) for each in [*entries[:where], revoked, *entries[where:]]))
    assert isinstance(made.find(text.text), Refusal)
    # Also for who starts later and reads what compaction left: nobody of ours writes an empty revocation.
    last = {each.name: each for each in [*entries[:where], revoked, *entries[where:]]}
    if last[revoked.name].value is not None:
        left = table(*((each.name, each.value) for each in last.values()))
        assert isinstance(left.find(text.text), Refusal)


def test_many_keys_are_taken_in_time() -> None:
    """Sanity, not speed: quadratic work would not end."""
    made = table()
    value = key_entries.encode(record(KEY_1, kind="browser", origins=("https://a.example",)))
    for number in itertools.islice(itertools.count(), 20_000):
        key_id = f"{number:010}"
        made.take(f"{KEY}{key_id}", value.replace(KEY_1.id.encode(), key_id.encode()))
    assert len(list(made.all())) == 20_000
