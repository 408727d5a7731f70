"""What to do about an event that did not become a row, by what is wrong with it. For people; decides nothing."""

from __future__ import annotations

from cli.send.fate import Fate, State

_BY_STATE: dict[State, str] = {
    "consent_dropped": 'Only events with "consent_state":"granted" are stored, and only with consent may they say so.',
    "not_taken": "The collector could not store it in Kafka. Send it again; logs/collector.log in the state folder "
    "says why.",
    "no_outcome": "It is safe in the raw topic. Is the stream worker running? logs/streams.log in the state folder "
    "says.",
    "no_row": "It is safe in the curated topic. Is the sink running? logs/sink.log in the state folder says.",
    "duplicate": "An event with this id was stored before; nothing is missing. A new event needs an id of its own.",
}
_BY_CODE = {
    "missing_field": "Add the field and send the event again.",
    "unknown_field": "Take the field out, correct its name, or put it into properties.",
    "invalid_field": "Correct the field and send the event again.",
    "bad_timestamp": "Write the time as RFC 3339 with an offset, and send the event again.",
    "too_large": "Put less into one event, or make several of it.",
    "too_deep": "Nest less deeply.",
    "invalid_json": "Correct the JSON and send the event again.",
    "unauthorized": "Use a tracking key that this stack knows.",
    "tenant_mismatch": "Use the tenant's own key, or leave the tenant out: the key says which it is.",
    "wrong_type": "Send a value of the type that the contract asks for, or change the contract.",
    "out_of_bounds": "Send a value within the bounds of the contract, or change the contract.",
    "not_allowed": "Send one of the values that the contract allows, or change the contract.",
    "unknown_version": "Name a version that exists, or none for the newest.",
}


def advice(fate: Fate) -> str:
    """A sentence or two; "" where there is nothing to do."""
    if found := _BY_STATE.get(fate.state):
        return found
    codes = [fate.verdict.code, *(fault.code for fault in (fate.sighting.faults if fate.sighting else ()))]
    return next((_BY_CODE[code] for code in codes if code in _BY_CODE), "")
