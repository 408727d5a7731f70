"""The steps of one worker, in their order, for a batch at a time.

A step that is switched off by a setting, is over its budget or fails leaves its columns empty. The session that a
client sent is no step's to lose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from core.settings import Settings
from streams.enrich.campaign import Campaigns
from streams.enrich.channel import BY_REFERRER, Channels
from streams.enrich.facts import (
    NO_AGENT,
    NO_CAMPAIGN,
    NO_PLACE,
    NO_REFERRER,
    Agent,
    Campaign,
    Facts,
    Place,
    Referrer,
)
from streams.enrich.geo import Geo
from streams.enrich.guard import Guard, Step
from streams.enrich.referrer import Referrers
from streams.enrich.session import Sessions
from streams.enrich.user_agent import UserAgents

T = TypeVar("T")
R = TypeVar("R")
Run = Callable[[Sequence[T]], list[R]]


class Columns(NamedTuple):
    """What the steps found: an item an event in each list but `made`, which has one for each event without a session.

    Empty text is "not known", also where a step is off or failed.
    """

    agents: list[Agent]
    referrers: list[Referrer]
    campaigns: list[Campaign]
    channels: list[str]
    places: list[Place]
    made: list[str]
    derived: list[bool]


class Chain:
    """Not thread-safe: it belongs to the thread that handles batches. Loads its lists when it is made (0.2 s)."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.perf_counter) -> None:
        budget_us = settings.enrich_budget_us

        def step(made: Step[T, R]) -> Run[T, R]:
            return Guard(made, budget_us=budget_us, clock=clock)

        agent, referrer, campaign = settings.enrich_user_agent, settings.enrich_referrer, settings.enrich_campaign
        geo_file = settings.enrich_geo_mmdb
        self._agents: Run[Facts, Agent] = step(UserAgents()) if agent else _off(NO_AGENT)
        self._referrers: Run[Facts, Referrer] = step(Referrers()) if referrer else _off(NO_REFERRER)
        self._campaigns: Run[Facts, Campaign] = step(Campaigns()) if campaign else _off(NO_CAMPAIGN)
        self._channels: Run[tuple[Referrer, Campaign], str] | None = step(Channels()) if referrer and campaign else None
        self._places: Run[Facts, Place] = step(Geo(Path(geo_file), monotonic=clock)) if geo_file else _off(NO_PLACE)
        self._sessions: Run[Facts, str] = step(Sessions()) if settings.enrich_session else _off("")

    def apply(self, batch: Sequence[Facts]) -> Columns:
        """What is found of each event, in order. Never raises for what an event holds."""
        referrers, campaigns = self._referrers(batch), self._campaigns(batch)
        made, derived = self._with_sessions(batch)
        channels = self._with_channels(referrers, campaigns)
        return Columns(self._agents(batch), referrers, campaigns, channels, self._places(batch), made, derived)

    def _with_channels(self, referrers: list[Referrer], campaigns: list[Campaign]) -> list[str]:
        if self._channels is None:
            return [""] * len(referrers)
        channels = [BY_REFERRER[type_] for type_, _name in referrers]
        by_campaign = [at for at, campaign in enumerate(campaigns) if campaign is not NO_CAMPAIGN]
        if by_campaign:
            found = self._channels([(referrers[at], campaigns[at]) for at in by_campaign])
            for at, channel in zip(by_campaign, found, strict=True):
                channels[at] = channel
        return channels

    def _with_sessions(self, batch: Sequence[Facts]) -> tuple[list[str], list[bool]]:
        """Sessions of the events without one, and of all events whether theirs is one of ours."""
        derived = [False] * len(batch)
        without = [at for at, facts in enumerate(batch) if not facts.session_id]
        made = self._sessions([batch[at] for at in without]) if without else []
        for at, session in zip(without, made, strict=True):
            derived[at] = bool(session)
        return made, derived


def _off(blank: R) -> Run[object, R]:
    return lambda batch: [blank] * len(batch)
