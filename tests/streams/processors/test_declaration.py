"""What a processor may declare, and what is said of one that may not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.errors import ConfigError
from schemas.registry import bundled
from streams.processor import Emit, Event, Output, processor


class Order(msgspec.Struct):
    order_id: str
    total: Decimal = Decimal(0)


def one(event: Event) -> Iterable[Emit]:
    return [Emit(event, b"")]


def many(events: list[Event]) -> Iterable[Emit]:
    return [Emit(event, b"") for event in events]


def one_typed(event: Event[Order]) -> Iterable[Emit]:
    return [Emit(event, event.properties.total)]


def many_typed(events: Sequence[Event[Order]]) -> Iterable[Emit]:
    return [Emit(event, event.properties.total) for event in events]


@pytest.mark.parametrize(
    ("handler", "batches", "properties_type"),
    [(one, False, dict[str, Any]), (many, True, dict[str, Any]), (one_typed, False, Order), (many_typed, True, Order)],
)
def test_the_signature_says_what_is_given(handler: Callable[..., Any], batches: bool, properties_type: Any) -> None:
    declared = processor(to="out")(handler)
    assert (declared.batches, declared.properties_type) == (batches, properties_type)
    assert (declared.name, declared.source, declared.schema) == (handler.__name__, "curated", "")
    assert declared.topics == ("out", f"{handler.__name__}.dead_letters")


def test_a_processor_is_still_its_function() -> None:
    declared = processor(to="out")(many_typed)
    order: Event[Order] = Event(properties_json='{"order_id":"o","total":"12.5"}', properties_type=Order)
    assert list(declared([order]) or ()) == [Emit(order, Decimal("12.5"))]


def test_outputs_are_names_or_more() -> None:
    declared = processor(to=("a", Output("b", schema="order_completed:1")), name="other")(one)
    assert declared.outputs == (Output("a"), Output("b", "order_completed:1"))
    assert declared.topics == ("a", "b", "other.dead_letters")


def no_parameter() -> Iterable[Emit]:
    return ()


def two(event: Event, more: Event) -> Iterable[Emit]:
    return ()


def bare(event) -> Iterable[Emit]:
    return ()


def of_others(event: dict[str, Any]) -> Iterable[Emit]:
    return ()


def of_batches(events: list[dict[str, Any]]) -> Iterable[Emit]:
    return ()


async def waiting(event: Event) -> Iterable[Emit]:
    return ()


def unknown_type(event: "Missing") -> Iterable[Emit]:  # type: ignore[name-defined] # noqa: F821, UP037 (the point)
    return ()


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (no_parameter, "must take one parameter"),
        (two, "must take one parameter"),
        (bare, "must take one parameter"),
        (of_others, "must take one parameter"),
        (of_batches, "must take one parameter"),
        (waiting, "asynchronous"),
        (unknown_type, "cannot be resolved: name 'Missing'"),
    ],
)
def test_another_signature_is_refused(handler: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        processor(to="out")(handler)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "curated"}, "belongs to Sluice"),
        ({"to": "Out Put"}, "a topic cannot be called 'Out Put'"),
        ({"to": ()}, "names no topic"),
        ({"to": "out", "name": "Big-Orders"}, "a processor cannot be called 'Big-Orders'"),
        ({"to": "out", "on_error": "ignore"}, "on_error must be one of dead_letter, stop"),
        ({"to": ("out", "out")}, "must be different"),
        ({"to": "out", "source": "out"}, "must be different"),
        ({"to": "out", "source": "one.dead_letters"}, "must be different"),
        ({"to": "one.dead_letters"}, "must be different"),
    ],
)
def test_what_cannot_be_named_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        processor(**options)(one)


def test_the_contract_must_be_there_and_have_what_is_asked_for() -> None:
    processor(to="out")(one_typed).check_contract(bundled())
    processor(to="out", schema="order_completed")(one_typed).check_contract(bundled())
    misspelt = processor(to="out", schema="order_complete")(one_typed)
    with pytest.raises(ConfigError, match="no event contract 'order_complete'") as caught:
        misspelt.check_contract(bundled())
    assert caught.value.hint == "Did you mean 'order_completed'?"
    with pytest.raises(ConfigError, match="no event contract 'event'"):
        replace(misspelt, schema="event").check_contract(bundled())
    with pytest.raises(ConfigError, match="page_view has no property 'order_id', 'total'"):
        replace(misspelt, schema="page_view").check_contract(bundled())
    replace(misspelt, schema="custom_event").check_contract(bundled())  # open: anything may be there
