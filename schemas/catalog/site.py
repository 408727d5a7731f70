"""The registry as pages: path in the site → text. Every link is relative, so that it can be read from any place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.topics import Topics
from schemas import lock
from schemas.catalog import markup
from schemas.catalog.snippets import OWN_TYPES, Snippets, snippets
from schemas.catalog.subjects import EVENT_CONTEXT, Catalog, Subject, read
from schemas.registry import Registry

_HERE = Path(__file__).parent
_FOLDERS = {"event": "events", "context": "contexts"}


def build(registry: Registry) -> dict[str, str]:
    """The whole site. The same registry gives the same text.

    Raises:
        SchemaError: a schema of the registry has an attribute that cannot be told, e.g. a field without a type.
    """
    catalog = read(registry)
    page = _Renderer(catalog).page
    site = {
        "index.html": page("index.html", search=search_index(catalog)),
        "metrics.html": page("metrics.html"),
        "privacy.html": page("privacy.html"),
        **{f"assets/{file.name}": file.read_text(encoding="utf-8") for file in sorted((_HERE / "static").iterdir())},
    }
    for subject in catalog.subjects:
        site[page_of(subject)] = page("subject.html", root="../", subject=subject, send=_snippets(subject))
    return {path: markup.printable(text) for path, text in sorted(site.items())}


def page_of(subject: Subject) -> str:
    return f"{_FOLDERS[subject.kind]}/{subject.name}.html"


def search_index(catalog: Catalog) -> dict[str, list[list[str]]]:
    """What can be found of each subject, by its id on the index page: [what it is, its text] each, the name first."""
    return {
        markup.anchor(subject.kind, subject.name): [
            ["name", subject.name],
            ["description", " ".join(map(subject.text, ("doc", "fires", "purpose")))],
            ["owner", subject.owner],
            ["status", subject.status],
            *(["metric", metric] for metric in subject.metrics),
            *(["field", " ".join((row.path, row.pii, row.doc, *row.allowed))] for row in subject.rows),
        ]
        for subject in catalog.subjects
    }


def _snippets(subject: Subject) -> Snippets | None:
    if subject.kind != "event":
        return None
    example = subject.examples[0] if subject.examples else {}
    return snippets(subject.name, subject.schema.version, example)


class _Renderer:
    def __init__(self, catalog: Catalog) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters |= {
            "prose": markup.prose,
            "pretty": markup.pretty,
            "short": markup.short,
            "pii": lambda name: name or "not classified",
            "plural": lambda number, word: f"{number} {word}{'' if number == 1 else 's'}",
        }
        self._environment.globals |= {
            "catalog": catalog,
            "anchor": markup.anchor,
            "fingerprint": lock.fingerprint,
            "topics": Topics.named(""),
            "own_types": OWN_TYPES,
            "event_context": EVENT_CONTEXT,
        }

    def page(self, template: str, *, root: str = "", **values: Any) -> str:
        """`root` leads from the page to the site's root."""
        return self._environment.get_template(template).render(root=root, href=_link_from(root), **values)


def _link_from(root: str) -> Callable[[Subject], str]:
    return lambda subject: f"{root}{_FOLDERS[subject.kind]}/{markup.segment(subject.name)}.html"
