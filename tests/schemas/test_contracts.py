"""Contracts of the bundled events: what is valid, what is not, and that nothing else ever happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from schemas import files, lock
from schemas.contracts import OPEN_SUBJECT, ContractError, Contracts, Judged, bundled_contracts
from schemas.registry import bundled, registry_at

CONTRACTS = bundled_contracts()
EVENT: dict[str, Any] = {
    "event_id": "e",
    "event_type": "page_view",
    "visitor_id": "v",
    "properties": {},
    "context": {},
    "consent_state": "granted",
    "occurred_at": 0,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


EVENTS = frozenset(bundled().subjects("event"))
RECORDS = sorted(set(bundled().subjects()) - EVENTS)


def judge(event: str, properties: Any, version: int = 0, *, contracts: Contracts = CONTRACTS, **changed: Any) -> Judged:
    payload = json.dumps(EVENT | {"properties": properties} | changed).encode()
    return contracts.judge(event, version, payload)


def refusal(payload: bytes) -> tuple[str, str]:
    with pytest.raises(ContractError) as refused:
        CONTRACTS.judge("page_view", 0, payload)
    (fault,) = refused.value.faults
    return fault.code, fault.path


VALID: list[tuple[str, Any]] = [
    ("page_view", {}),
    ("page_view", {"title": "A", "method": "GET", "status": 100, "bytes": 0, "protocol": "HTTP/2"}),
    ("page_view", {"title": None, "status": 599, "bytes": 2**63 - 1}),
    ("page_view", {"ours": "not", "nested": {"a": [1, None]}}),
    ("custom_event", {}),
    ("custom_event", {"anything": [1, {"goes": True}]}),
    ("identity", {"email": "a@example.org", "name": "Ann"}),
    ("identity", {}),
    ("signup", {"plan": 7}),
]
INVALID: list[tuple[str, Any, str, str]] = [
    ("page_view", {"status": 99}, "out_of_bounds", "$.properties.status"),
    ("page_view", {"status": 600}, "out_of_bounds", "$.properties.status"),
    ("page_view", {"status": "200"}, "wrong_type", "$.properties.status"),
    ("page_view", {"bytes": -1}, "out_of_bounds", "$.properties.bytes"),
    ("page_view", {"bytes": 2**63}, "out_of_bounds", "$.properties.bytes"),
    ("page_view", {"title": 1}, "wrong_type", "$.properties.title"),
    ("page_view", [], "wrong_type", "$.properties"),
    ("page_view", None, "wrong_type", "$.properties"),
    ("custom_event", "text", "wrong_type", "$.properties"),
    ("identity", {"email": []}, "wrong_type", "$.properties.email"),
    ("signup", 1, "wrong_type", "$.properties"),
]


@pytest.mark.parametrize(("event", "properties"), VALID, ids=repr)
def test_properties_that_keep_their_contract(event: str, properties: Any) -> None:
    judged = judge(event, properties)
    contract = judged.contract
    assert contract.label == f"{contract.subject}:{contract.version}"
    assert json.loads(judged.properties) | json.loads(judged.extra or "{}") == properties


@pytest.mark.parametrize(("event", "properties", "code", "path"), INVALID, ids=repr)
def test_properties_that_break_their_contract(event: str, properties: Any, code: str, path: str) -> None:
    with pytest.raises(ContractError) as refused:
        judge(event, properties)
    (fault,) = refused.value.faults
    assert (fault.code, fault.path) == (code, path)
    assert path in str(refused.value)


def test_all_faults_are_told_at_once_also_those_of_the_context() -> None:
    with pytest.raises(ContractError) as refused:
        judge("page_view", {"status": "x", "bytes": -1, "title": "fine"}, context={"page": {"path": 7}, "device": []})
    assert sorted(fault.path for fault in refused.value.faults) == [
        "$.context.device",
        "$.context.page.path",
        "$.properties.bytes",
        "$.properties.status",
    ]
    assert refused.value.contract is not None
    assert refused.value.contract.label == "page_view:1"


def test_undeclared_properties_are_kept_apart() -> None:
    judged = judge("page_view", {"status": 200, "ours": [1, {"a": "ü"}]})
    assert (judged.properties, json.loads(judged.extra)) == ('{"status":200}', {"ours": [1, {"a": "ü"}]})
    assert judge("signup_of_ours", {"any": 1}).extra == ""


def test_every_event_of_clients_has_a_contract() -> None:
    for subject in EVENTS:
        example: dict[str, Any] = next(iter(bundled().latest(subject).source["examples"]), {})
        for version in bundled().versions(subject):
            assert judge(subject, example, version).contract.version == version
        assert judge(subject, example).contract.version == max(bundled().versions(subject))


@given(st.text())
def test_an_event_without_a_contract_is_judged_by_the_open_one(event: str) -> None:
    if event not in EVENTS:
        assert judge(event, {}).contract.subject == OPEN_SUBJECT


@pytest.mark.parametrize("subject", RECORDS)
def test_a_record_or_context_of_ours_is_no_contract_of_a_client(subject: str) -> None:
    assert judge(subject, {"any": 1}).contract.subject == OPEN_SUBJECT


@pytest.mark.parametrize("version", [2, 99, -1, 2**31 - 1, -(2**63)])
@pytest.mark.parametrize("event", ["page_view", "signup"])
def test_an_unknown_version_is_a_fault(event: str, version: int) -> None:
    with pytest.raises(ContractError) as refused:
        judge(event, {}, version)
    (fault,) = refused.value.faults
    assert (fault.code, fault.path, fault.expected, fault.got) == (
        "unknown_version",
        "$.version",
        "one of 1",
        str(version),
    )


def test_a_payload_is_read() -> None:
    judged = CONTRACTS.judge("x", 0, json.dumps(EVENT | {"properties": {"a": 1.0}, "extra": 1}).encode())
    assert (judged.event.event_id, judged.event.user_id, judged.event.sent_at) == ("e", "", 0)
    assert judged.properties == '{"a": 1.0}'


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"event_id": ""}, "out_of_bounds", "$.event_id"),
        ({"event_id": "x" * 129}, "out_of_bounds", "$.event_id"),
        ({"visitor_id": ""}, "out_of_bounds", "$.visitor_id"),
        ({"event_type": "click"}, "not_allowed", "$.event_type"),
        ({"consent_state": "maybe"}, "not_allowed", "$.consent_state"),
        ({"occurred_at": 253402300800000}, "out_of_bounds", "$.occurred_at"),
        ({"occurred_at": -62135596800001}, "out_of_bounds", "$.occurred_at"),
        ({"occurred_at": "2024-01-01"}, "wrong_type", "$.occurred_at"),
        ({"sent_at": 2**63}, "out_of_bounds", "$.sent_at"),
        ({"url": "x" * 8193}, "out_of_bounds", "$.url"),
        ({"name": None}, "wrong_type", "$.name"),
    ],
    ids=repr,
)
def test_a_payload_of_the_wrong_form_is_a_fault(changed: dict[str, Any], code: str, path: str) -> None:
    assert refusal(json.dumps(EVENT | changed).encode()) == (code, path)


@pytest.mark.parametrize("name", EVENT)
def test_what_is_required_must_be_there(name: str) -> None:
    payload = {key: value for key, value in EVENT.items() if key != name}
    assert refusal(json.dumps(payload).encode()) == ("missing_field", f"$.{name}")


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(ContractError) as refused:
        CONTRACTS.judge("page_view", 0, payload)
    assert refused.value.faults


@given(JSON, JSON, st.sampled_from(["page_view", "custom_event", "identity", "order_completed", "signup"]))
def test_no_properties_raise_anything_else(properties: Any, context: Any, event: str) -> None:
    try:
        judged = judge(event, properties, context=context)
    except ContractError as error:
        paths = [fault.path for fault in error.faults]
    else:
        paths = []
        assert json.loads(judged.properties) | json.loads(judged.extra or "{}") == properties
        assert json.loads(judged.context) == context
    assert all(path.startswith(("$.properties", "$.context")) for path in paths)


# -- versions side by side


def versioned(folder: Path, *sources: dict[str, Any]) -> Contracts:
    """Contracts of one event with these versions, released."""
    (folder / "avro" / "seat_taken").mkdir(parents=True)
    entries = {}
    for version, more in enumerate(sources, start=1):
        source = {"type": "record", "name": "SeatTaken", "namespace": "a", "kind": "event", "doc": "D."} | more
        (folder / "avro" / "seat_taken" / f"{version}.avsc").write_text(files.dump(source), encoding="utf-8")
        entries[version] = lock.entry(source, 200 + version)
    lock.write(folder, {"seat_taken": entries})
    return Contracts(registry_at(folder))


SEAT = {"name": "seat", "type": "int"}
COACH = {"name": "coach", "type": "string", "default": "A"}
OLD_SEAT = {"name": "place", "type": "long", "aliases": ["seat"]}


def outcome(contracts: Contracts, properties: Any, version: int = 0) -> tuple[int, int, Any, str]:
    judged = judge("seat_taken", properties, version, contracts=contracts)
    contract = judged.contract
    return contract.version, contract.stable_version, json.loads(judged.properties), judged.extra


def test_an_older_version_is_brought_into_the_newest_shape(tmp_path: Path) -> None:
    contracts = versioned(tmp_path, {"fields": [SEAT]}, {"fields": [OLD_SEAT, COACH]})
    assert outcome(contracts, {"seat": 4}, 1) == (1, 2, {"place": 4, "coach": "A"}, "")
    assert outcome(contracts, {"seat": 4, "meal": "x"}, 1) == (1, 2, {"place": 4, "coach": "A"}, '{"meal":"x"}')
    assert outcome(contracts, {"place": 4}, 2) == (2, 2, {"place": 4}, "")


def test_without_a_version_the_newest_that_fits_is_taken(tmp_path: Path) -> None:
    contracts = versioned(tmp_path, {"fields": [SEAT]}, {"fields": [OLD_SEAT, COACH]})
    assert outcome(contracts, {"place": 4, "coach": "B"})[:2] == (2, 2)
    assert outcome(contracts, {"seat": 4})[:2] == (1, 2)
    with pytest.raises(ContractError) as refused:
        outcome(contracts, {"place": "x"})
    assert refused.value.contract is not None
    assert refused.value.contract.version == 2
    assert [fault.path for fault in refused.value.faults] == ["$.properties.place"]


def test_a_version_that_is_superseded_is_judged_by_another(tmp_path: Path) -> None:
    broken = {"fields": [{"name": "seat", "type": "string"}], "supersededBy": 3}
    contracts = versioned(tmp_path, {"fields": [SEAT]}, broken, {"fields": [SEAT, COACH]})
    assert outcome(contracts, {"seat": 4}, 2) == (3, 3, {"seat": 4}, "")
    with pytest.raises(ContractError):
        outcome(contracts, {"seat": "4"}, 2)
    with pytest.raises(ContractError):
        outcome(contracts, {"seat": "4"})  # and is never inferred


def test_a_newest_version_that_was_taken_back_is_not_the_stable_shape(tmp_path: Path) -> None:
    taken_back = {"fields": [{"name": "seat", "type": "string"}], "supersededBy": 1}
    contracts = versioned(tmp_path, {"fields": [SEAT]}, taken_back)
    assert outcome(contracts, {"seat": 4}) == (1, 1, {"seat": 4}, "")
    assert outcome(contracts, {"seat": 4}, 2) == (1, 1, {"seat": 4}, "")


def test_superseding_in_a_circle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leads back to itself"):
        versioned(tmp_path, {"fields": [SEAT], "supersededBy": 2}, {"fields": [SEAT], "supersededBy": 1})


def test_a_version_that_cannot_be_brought_into_the_newest_shape_keeps_its_own(tmp_path: Path) -> None:
    contracts = versioned(tmp_path, {"fields": [SEAT]}, {"fields": [{"name": "seat", "type": "boolean"}]})
    assert outcome(contracts, {"seat": 4}, 1) == (1, 1, {"seat": 4}, "")


def test_a_folder_without_an_open_contract_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    contracts = versioned(tmp_path, {"fields": [SEAT]})
    with pytest.raises(ContractError) as refused:
        judge("unheard_of", {}, contracts=contracts)
    assert refused.value.faults[0].code == "unknown_event"
    assert refused.value.contract is None
