"""Ids: random ones from a source one can seed, derived ones frozen for ever."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from core import ids

TEXT = st.text(max_size=40)
# Nothing that we derive an id from holds the separators.
PART = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\x1f"), max_size=40)


def test_namespaces_never_change() -> None:
    assert str(ids.NATURAL_KEY) == "d2a0e81b-e0a5-524f-bb6c-8cc9c5f2e415"
    assert str(ids.VISITOR) == "d41d7a5f-7454-5894-bf80-7b13a4bdac32"
    assert str(ids.SESSION) == "935c39a2-23e6-50e5-a043-17eddf8dc614"
    assert str(ids.LOG_LINE) == "8d2fbc5e-da13-58ea-8de0-b98d3aee040f"


def test_derived_ids_never_change() -> None:
    assert ids.derived(ids.VISITOR, "a", "b") == "9649f4e7-0f9f-5806-9b69-7f6e62f24c64"
    assert ids.derived(ids.LOG_LINE, "access.log", "17") == "8a75b3d7-ca42-5d05-be1a-abb97df43820"
    assert ids.derived(ids.NATURAL_KEY, "Zoë", "žluťoučký") == "c5df15d0-8717-5030-8c6c-5fcffa457c8d"
    assert ids.derived(ids.SESSION) == "7807f729-e6ed-5ed1-b9a7-dd6e23612822"


def test_dedupe_ids_never_change() -> None:
    """They lie in outcome records: another rule would let every event of the last day in once more."""
    assert ids.dedupe_id("demo", "e-1").hex() == "13f4ff3088df6e098bf94bd22da9b754"
    assert ids.dedupe_id("", "").hex() == "7025e075d5e2f6cde3cc051a31f07660"
    assert ids.dedupe_id("žluť", "🙂").hex() == "941bbc82fa22362ba44719daf89abf11"


def test_seeded_ids_never_change() -> None:
    source = ids.SeededIds(7)
    assert [str(source.uuid4()) for _ in range(3)] == [
        "6513270e-269e-4d37-b2a7-4de452e6b438",
        "d23f0824-128b-4f33-8c5c-7fd0a6a3a450",
        "9531985d-5d9d-49f8-9818-e811892f902b",
    ]


@given(st.integers())
def test_a_seed_gives_its_own_version_4_ids(seed: int) -> None:
    one, two, other = ids.SeededIds(seed), ids.SeededIds(seed), ids.SeededIds(abs(seed) + 1)
    drawn = [one.uuid4() for _ in range(5)]
    assert drawn == [two.uuid4() for _ in range(5)]
    assert drawn != [other.uuid4() for _ in range(5)]
    assert {i.version for i in drawn} == {4}
    assert len(set(drawn)) == 5


def test_random_ids_do_not_repeat() -> None:
    source = ids.RandomIds()
    assert len({source.uuid4() for _ in range(100)}) == 100


@given(st.lists(PART, max_size=4), st.lists(PART, max_size=4))
def test_derived_ids_tell_parts_apart(one: list[str], two: list[str]) -> None:
    first, second = ids.derived(ids.VISITOR, *one), ids.derived(ids.VISITOR, *two)
    # No parts and one empty part are one text; nothing of ours is derived from nothing.
    assert (first == second) == ((one or [""]) == (two or [""]))
    assert uuid.UUID(first).version == 5
    assert first != ids.derived(ids.SESSION, *one)


@given(PART, TEXT, PART, TEXT)
def test_dedupe_ids_tell_tenants_and_events_apart(tenant: str, event: str, other: str, other_event: str) -> None:
    same = (tenant, event) == (other, other_event)
    assert (ids.dedupe_id(tenant, event) == ids.dedupe_id(other, other_event)) == same
    assert len(ids.dedupe_id(tenant, event)) == ids.DEDUPE_ID_BYTES
