"""The steps of one worker, in their order, for a batch at a time.

A step that is switched off by a setting, is over its budget or fails leaves its columns empty. The session that a
client sent is no step's to lose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

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
    Enriched,
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

    def apply(self, batch: Sequence[Facts]) -> list[Enriched]:
        """A row for each event, in order. Never raises for what an event holds."""
        if not batch:
            return []
        referrers, campaigns = self._referrers(batch), self._campaigns(batch)
        channels = self._with_channels(referrers, campaigns)
        sessions, derived = self._with_sessions(batch)
        columns = (self._agents(batch), referrers, campaigns, channels, self._places(batch), sessions, derived)
        # Spelled out, because it runs for every event: half the time of joining the rows and a third of keywords'.
        # fmt: off
        return [
            Enriched(
                browser, version, os, device, bot, type_, name, source, medium, campaign, term, content, click_type,
                click_id, channel, country, region, city, session, made,
            )
            for (browser, version, os, device, bot), (type_, name),
                (source, medium, campaign, term, content, click_type, click_id), channel, (country, region, city),
                session, made in zip(*columns, strict=True)
        ]
        # fmt: on

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
        """The session of each event, and whether it is one of ours."""
        sessions = [facts.session_id for facts in batch]
        derived = [False] * len(batch)
        if "" in sessions:
            without = [at for at, session in enumerate(sessions) if not session]
            for at, session in zip(without, self._sessions([batch[at] for at in without]), strict=True):
                sessions[at], derived[at] = session, bool(session)
        return sessions, derived


def _off(blank: R) -> Run[object, R]:
    return lambda batch: [blank] * len(batch)
