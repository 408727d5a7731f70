"""Contracts of the bundled events: what is valid, what is not, and that nothing else ever happens."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contracts import OPEN_SUBJECT, SYSTEM_SUBJECTS, ContractError, bundled_contracts
from schemas.registry import bundled

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


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def refusal(payload: bytes) -> tuple[str, str]:
    with pytest.raises(ContractError) as refused:
        CONTRACTS.decode(payload)
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
    contract = CONTRACTS.find(event, 0)
    contract.check(raw(properties))
    assert contract.label == f"{contract.subject}:{contract.version}"


@pytest.mark.parametrize(("event", "properties", "code", "path"), INVALID, ids=repr)
def test_properties_that_break_their_contract(event: str, properties: Any, code: str, path: str) -> None:
    with pytest.raises(ContractError) as refused:
        CONTRACTS.find(event, 0).check(raw(properties))
    (fault,) = refused.value.faults
    assert (fault.code, fault.path) == (code, path)
    assert path in str(refused.value)


def test_every_event_of_clients_has_a_contract() -> None:
    for subject in set(bundled().subjects()) - SYSTEM_SUBJECTS:
        newest = max(bundled().versions(subject))
        for version in bundled().versions(subject):
            assert CONTRACTS.find(subject, version).version == version
        found = CONTRACTS.find(subject, 0)
        assert (found.subject, found.version) == (subject, newest)


@given(st.text())
def test_an_event_without_a_contract_is_judged_by_the_open_one(event: str) -> None:
    if event not in set(bundled().subjects()) - SYSTEM_SUBJECTS:
        assert CONTRACTS.find(event, 0).subject == OPEN_SUBJECT


@pytest.mark.parametrize("subject", sorted(SYSTEM_SUBJECTS))
def test_a_record_of_ours_is_no_contract_of_a_client(subject: str) -> None:
    assert CONTRACTS.find(subject, 0).subject == OPEN_SUBJECT


@pytest.mark.parametrize("version", [2, 99, -1, 2**31 - 1, -(2**63)])
@pytest.mark.parametrize("event", ["page_view", "signup"])
def test_an_unknown_version_is_a_fault(event: str, version: int) -> None:
    with pytest.raises(ContractError) as refused:
        CONTRACTS.find(event, version)
    (fault,) = refused.value.faults
    assert (fault.code, fault.path, fault.expected, fault.got) == (
        "unknown_version",
        "$.version",
        "one of 1",
        str(version),
    )


def test_a_payload_is_read() -> None:
    event = CONTRACTS.decode(json.dumps(EVENT | {"properties": {"a": 1.0}, "extra": 1}).encode())
    assert (event.event_id, event.user_id, event.sent_at) == ("e", "", 0)
    assert bytes(event.properties) == b'{"a": 1.0}'


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
        CONTRACTS.decode(payload)
    assert len(refused.value.faults) == 1


@given(JSON, st.sampled_from(["page_view", "custom_event", "identity", "signup"]))
def test_no_properties_raise_anything_else(properties: Any, event: str) -> None:
    payload = json.dumps(EVENT | {"properties": properties}).encode()
    try:
        CONTRACTS.find(event, 0).check(CONTRACTS.decode(payload).properties)
    except ContractError:
        assert event in {"page_view", "identity"} or not isinstance(properties, dict)
    else:
        assert isinstance(properties, dict)
