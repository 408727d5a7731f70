"""`@processor`: what a function of a user's declares of itself. The types of its signature say what it is given:
`list[Event]` a batch, `Event` one at a time, `Event[Order]` properties as an `Order`.
"""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, TypeVar

import msgspec

from core.errors import ConfigError
from core.topics import Topics
from schemas.registry import Registry
from streams.processor.emit import Emit, Output
from streams.processor.event import Document, Event

Given = TypeVar("Given", bound="Event[Any] | Sequence[Event[Any]]")
Emits = Iterable[Emit] | None
OnError = Literal["dead_letter", "stop"]

DEAD_LETTERS = ".dead_letters"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_TOPIC = re.compile(r"[a-z][a-z0-9_.-]{0,149}")
_RESERVED = frozenset(field.name for field in fields(Topics))
_BATCHES = frozenset({list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection})


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor(Generic[Given]):
    """A declared processor. Called, it is the function itself, which is how it is tested."""

    name: str
    handler: Callable[[Given], Emits]
    batches: bool
    properties_type: Any
    source: str
    schema: str
    outputs: tuple[Output, ...]
    on_error: OnError

    def __call__(self, given: Given) -> Emits:
        return self.handler(given)

    @property
    def dead_letters(self) -> str:
        return f"{self.name}{DEAD_LETTERS}"

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that it writes to, without the prefix."""
        return (*(output.name for output in self.outputs), self.dead_letters)

    def check_contract(self, registry: Registry) -> None:
        """Raises ConfigError if there is no such contract, or it lacks a property that the handler asks for."""
        if not self.schema:
            return
        known = registry.subjects("event")
        if self.schema not in known:
            near = difflib.get_close_matches(self.schema, known, n=1, cutoff=0.6)
            raise ConfigError(
                f"{self.name}: there is no event contract {self.schema!r}",
                hint=f"Did you mean {near[0]!r}?" if near else "`sluice schemas list --kind event` shows them all.",
            )
        contract = registry.latest(self.schema).resolved
        declared = {each["name"] for each in contract["fields"]}
        asked = _encoded_fields(self.properties_type)
        missing = sorted(asked - declared)
        if missing and contract.get("unknown") != "open":
            raise ConfigError(
                f"{self.name}: {self.schema} has no property {', '.join(map(repr, missing))}",
                hint=f"It has {', '.join(sorted(declared))}.",
            )


def processor(
    *,
    to: str | Output | Sequence[str | Output],
    source: str = "curated",
    schema: str = "",
    on_error: OnError = "dead_letter",
    name: str = "",
) -> Callable[[Callable[[Given], Emits]], Processor[Given]]:
    """Make a processor of a function that takes `list[Event]` or one `Event` and gives an iterable of `Emit`.

    Topics are named without the prefix. `source` is a topic of curated events, `schema` the contract of those it is
    given (all if empty). `on_error` says what becomes of an event that the function raises on: it goes to
    `<name>.dead_letters`, or the process stops before it. `name` is the function's unless given; group, offsets and
    dead letters go by it.

    Raises:
        ConfigError: a name, a topic or the signature cannot be used.
    """

    def declare(handler: Callable[[Given], Emits]) -> Processor[Given]:
        called = name or handler.__name__
        batches, properties_type = _signature(called, handler)
        given = (to,) if isinstance(to, (str, Output)) else to
        declared = Processor(
            name=called,
            handler=handler,
            batches=batches,
            properties_type=properties_type,
            source=source,
            schema=schema,
            outputs=tuple(Output(each) if isinstance(each, str) else each for each in given),
            on_error=on_error,
        )
        _check_names(declared)
        return declared

    return declare


def _check_names(declared: Processor[Any]) -> None:
    name = declared.name
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a processor cannot be called {name!r}", hint="Use a-z, 0-9 and _, a letter first.")
    if declared.on_error not in typing.get_args(OnError):
        raise ConfigError(f"{name}: on_error must be one of {', '.join(typing.get_args(OnError))}")
    if not declared.outputs:
        raise ConfigError(f"{name}: `to` names no topic")
    for topic in declared.topics:
        if not _TOPIC.fullmatch(topic):
            raise ConfigError(f"{name}: a topic cannot be called {topic!r}", hint="Use a-z, 0-9, '_', '-' and '.'.")
        if topic in _RESERVED:
            raise ConfigError(f"{name}: the topic {topic} belongs to Sluice", hint="Name one of your own.")
    if len({*declared.topics, declared.source}) <= len(declared.topics):
        raise ConfigError(f"{name}: source, outputs and {declared.dead_letters} must be different topics")


def _signature(name: str, handler: Callable[..., Any]) -> tuple[bool, Any]:
    """`(whether it takes batches, type of the properties)`."""
    if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigError(f"{name} is asynchronous", hint="A processor is a plain function or generator.")
    parameters = list(inspect.signature(handler).parameters)
    try:
        hints = typing.get_type_hints(handler)
    except Exception as error:
        raise ConfigError(f"{name}: its annotations cannot be resolved: {error}") from error
    wanted = hints.get(parameters[0]) if len(parameters) == 1 else None
    batches = typing.get_origin(wanted) in _BATCHES
    each = typing.get_args(wanted)[0] if batches else wanted
    if each is Event:
        return batches, Document
    if typing.get_origin(each) is Event:
        return batches, typing.get_args(each)[0]
    raise ConfigError(
        f"{name} must take one parameter, annotated with what it is given",
        hint="`events: list[Event]` for batches, `event: Event` for one at a time; Event[T] reads properties into T.",
    )


def _encoded_fields(type_: Any) -> set[str]:
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return set(type_.__struct_encode_fields__)
    return set()
