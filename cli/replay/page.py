"""A plan as one page of HTML, with everything in it: to attach to a ticket."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader

from replay.plans import Plan
from replay.selection import moment


def render(plan: Plan) -> str:
    """HTML of `plan`; whatever strangers wrote is escaped, nothing is loaded from anywhere."""
    pages = Environment(loader=PackageLoader("cli.replay"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    pages.filters["moment"] = moment
    pages.filters["number"] = lambda value: f"{value:,}"
    return pages.get_template("plan.html").render(plan=plan)
