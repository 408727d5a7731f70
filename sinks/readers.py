"""What readers of the embedded ClickHouse may see: every view is either shown to a role here or restricted.

A view that nobody named is shown to nobody. What a view reads must be named too, and of the tables with rows of tenants
each must have the column `tenant`: a reader of one tenant sees no other rows of them. `tests/sinks/test_readers.py`
holds the migrations to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Tables whose column `tenant` says whose a row is; the view beside each has its name without `_log`.
BY_TENANT: Final = (
    "events_log", "events_daily_log", "events_hourly_log", "page_views_daily_log", "page_views_hourly_log",
    "pages_daily_log", "referrers_daily_log", "utm_daily_log", "devices_daily_log", "countries_daily_log",
    "sessions_log", "dead_letters_log",
)  # fmt: skip
# What these views ask besides: which generations are hidden. Nothing of it belongs to a tenant.
BEHIND: Final = ("generations", "hidden_generations", "hidden_outcome_generations")

# Regular expressions of whole names.
_TENANT_VIEWS: Final = ("events", "sessions", "dead_letters", r".+_(?:daily|hourly)", r"v_.+(?<!_pii)")
_ANALYST_VIEWS: Final = (*_TENANT_VIEWS, "outcomes", "restated_outcomes")
# Raw bytes, personal data, what concerns the operator, and views with parameters, which cannot be passed on.
RESTRICTED: Final = (
    "raw_archive", "raw_gaps", "completeness", r".+_pii", "audit", "abuse", "drops", "drop_epochs", r"hidden_.+",
    "sessions_between",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """`views` are expressions of names; `reads` are names, a trailing `*` stands for any rest."""

    views: tuple[str, ...]
    reads: tuple[str, ...]


def shown() -> dict[str, Shown]:
    """By role."""
    beside = tuple(name.removesuffix("_log") for name in BY_TENANT)
    common = (*BY_TENANT, *beside, *BEHIND, "v_*")
    return {
        "tenant": Shown(_TENANT_VIEWS, common),
        "analyst": Shown(
            _ANALYST_VIEWS,
            (*common, "outcomes_log", "outcomes", "restated_outcomes_log", "restated_outcomes", "generation_claims"),
        ),
    }
