"""Plans, runs and coverage in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.tail.safe_text import cut, shown
from replay.coverage import Archived, Gap, Kept
from replay.plans import Plan, Run
from replay.pruning import Pruned
from replay.sampling import Row

_REASONS = 10
_FIELDS = 10
_VALUE = 60


def of_plan(plan: Plan) -> str:
    lines = [
        f"plan {plan.id}{' (shadow: of contracts that are not in force)' if plan.shadow else ''}",
        f"  {shown(plan.selection.describe())}",
        f"  read {plan.from_kafka:,} records from Kafka, {plan.from_archive:,} from the archive",
        f"  selected {plan.selected:,}",
        "",
        f"  {plan.accepted:>12,}  accepted: had no row",
        f"  {plan.changed:>12,}  changed",
        f"  {plan.unchanged:>12,}  unchanged",
        f"  {plan.removed:>12,}  removed: have a row, and would have none",
        f"  {plan.still:>12,}  still without a row",
    ]
    lines += _left_out(plan)
    if plan.fields:
        lines += ["", "  fields that change, in rows"]
        for field in plan.fields[:_FIELDS]:
            lines.append(f"  {field.rows:>12,}  {shown(field.field)}")
            lines += [f"  {'':>12}    {_value(each.before)} -> {_value(each.after)}" for each in field.samples]
    if plan.days:
        lines += ["", "  day              rows        after     accepted      changed      removed"]
        lines += [
            f"  {d.day}  {d.before:>11,}  {d.after:>11,}  {d.accepted:>11,}  {d.changed:>11,}  {d.removed:>11,}"
            for d in plan.days
        ]
        lines += ["", "  rollup                           total        after"]
        lines += [f"  {each.rollup:<26}  {each.before:>11,}  {each.after:>11,}" for each in plan.rollups]
    lines.append("")
    if plan.shadow:
        lines.append(f"  {plan.refused_share:.2%} would be refused")
    elif not plan.changes_something:
        lines.append("  nothing to do")
    elif plan.gaps:
        lines.append("  it cannot be run: plan a window without gaps")
    else:
        lines.append(f'  about {max(1, round(plan.estimate_s))} s: sluice replay run {plan.id} --why "…"')
    return "\n".join(lines)


def _left_out(plan: Plan) -> list[str]:
    """What was not looked at, and what has no row."""
    lines = []
    for event, rows in plan.emptied.items():
        lines.append(f"  CONTRACT  every record of {shown(event)} is refused: its {rows:,} rows would go")
    for gap in plan.gaps:
        first = "the beginning" if gap.first < 0 else f"{gap.first:,}"
        lines.append(f"  GAP  partition {gap.partition}, offsets {first} to {gap.last:,}: {gap.reason}")
    if plan.behind:
        lines.append(f"  not looked at: {plan.behind:,} records that the live pipeline is not done with")
    if plan.refusals:
        lines += ["", "  no row, because"]
        lines += [
            f"  {each.records:>12,}  {shown(f'{each.event}:{each.version}')}  {each.code} {shown(each.path)}".rstrip()
            + (f"  (cause {each.fingerprint})" if each.fingerprint else "")
            + (f", {each.removed:,} of them removed" if each.removed else "")
            for each in plan.refusals[:_REASONS]
        ]
        if len(plan.refusals) > _REASONS:
            lines.append(f"  {'':>12}  and {len(plan.refusals) - _REASONS} more causes (--json)")
    return lines


def of_run(run: Run) -> str:
    lines = [f"run {run.id} of plan {run.plan}: {run.state}", f"  by {shown(run.who)}: {shown(run.why)}"]
    report = run.report
    if report.error:
        lines.append(f"  {shown(report.error)}")
    if report.days:
        lines.append(
            f"  {report.accepted:,} accepted, {report.changed:,} changed, {report.removed:,} removed, "
            f"{report.late_duplicates:,} came live meanwhile; {report.seconds:g} s"
        )
        lines += ["  day          generation         rows        after"]
        lines += [f"  {d.day}  {d.generation:>11}  {d.before:>11,}  {d.after:>11,}" for d in report.days]
    if run.state == "published":
        lines.append(f'  undo: sluice replay rollback {run.id} --why "…"')
    return "\n".join(lines)


def of_all(plans: Sequence[Plan], runs: Sequence[Run]) -> str:
    by_plan = {run.plan: run for run in runs}
    known = {plan.id for plan in plans}
    lines = []
    for plan in plans:
        run = by_plan.get(plan.id)
        state = "shadow" if plan.shadow else run.state if run else "planned"
        lines.append(
            f"{plan.id}  {state:<11}  +{plan.accepted:,} ~{plan.changed:,} -{plan.removed:,}  "
            f"{shown(plan.selection.describe())}"
        )
    lines += [f"{run.plan}  {run.state:<11}  {shown(run.why)}" for run in runs if run.plan not in known]
    return "\n".join(lines) or "no plans yet: sluice replay plan --from 1d"


def of_pruning(done: Pruned) -> str:
    lines = [f"{done.plans} plans deleted, {done.leftovers} tables of killed ones"]
    lines += [f"kept, for {run} is not done: run it again, or `sluice replay cancel {run}`" for run in done.unfinished]
    return "\n".join(lines)


def of_row(row: Row) -> str:
    lines = [f"partition {row.partition} offset {row.offset}  {shown(row.event)}  {shown(row.event_id)}"]
    lines += [f"  {name}: {_value(old)} -> {_value(new)}" for name, (old, new) in row.fields.items()]
    return "\n".join(lines)


def kept(in_kafka: Mapping[int, Kept], archived: Mapping[int, Archived], gaps: Sequence[Gap]) -> dict[str, Any]:
    """What `of_coverage` says, as an object."""
    return {
        "partitions": [
            {
                "partition": number,
                "kafka": {"first": each.low, "last": each.high - 1} if each.high > each.low else None,
                "archive": [{"first": first, "last": last} for first, last in _ranges(archived, number)],
            }
            for number, each in sorted(in_kafka.items())
        ],
        "gaps": [{"partition": g.number, "first": g.first, "last": g.last, "reason": g.reason} for g in gaps],
    }


def of_coverage(in_kafka: Mapping[int, Kept], archived: Mapping[int, Archived], gaps: Sequence[Gap]) -> str:
    lines = ["partition                 Kafka                    archive"]
    for number, each in sorted(in_kafka.items()):
        kafka = f"{each.low:,} to {each.high - 1:,}" if each.high > each.low else "-"
        ranges = ", ".join(f"{first:,} to {last:,}" for first, last in _ranges(archived, number)) or "-"
        lines.append(f"{number:>9}  {kafka:>20}  {ranges:>25}")
    lines += [
        f"GAP  partition {gap.number}, offsets {'?' if gap.first < 0 else format(gap.first, ',')} to {gap.last:,}: "
        f"{gap.reason}"
        for gap in gaps
    ]
    return "\n".join(lines)


def _value(text: str) -> str:
    return cut(shown(text), width=_VALUE) if text else '""'


def _ranges(archived: Mapping[int, Archived], number: int) -> list[tuple[int, int]]:
    return archived[number].ranges if number in archived else []
