"""A page as a browser builds it, for tests: its elements, its text, and what is wrong with its HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

_VOID = {"meta", "link", "br", "input", "hr", "img", "wbr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)


@dataclass
class Page:
    """`faults` are tags that do not match, ids and attributes given twice, and unescaped ampersands."""

    elements: list[Element]
    faults: list[str]

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    @property
    def ids(self) -> set[str]:
        return {element.attributes["id"] for element in self.elements if "id" in element.attributes}

    @property
    def text(self) -> str:
        return self.all("html")[0].text

    def by_id(self, name: str) -> Element:
        return next(element for element in self.elements if element.attributes.get("id") == name)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page([], [])
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.page.faults.append(f"<{tag}> has an attribute twice")
        element = Element(tag, {name: value or "" for name, value in attrs})
        if element.attributes.get("id") in self.page.ids:
            self.page.faults.append(f"the id {element.attributes['id']} is given twice")
        self.page.elements.append(element)
        if self._open:
            self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.page.faults.append(f"</{tag}> closes nothing, at {self.getpos()}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def close(self) -> None:
        super().close()
        self.page.faults += [f"<{element.tag}> is never closed" for element in self._open]


def read(text: str) -> Page:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.page


def dead_links(site: Mapping[str, str]) -> list[str]:
    """Links to files or places that are not in the site, and what leads out of it."""
    pages = {path: read(text) for path, text in site.items() if path.endswith(".html")}
    found = []
    for path, page in pages.items():
        for element in page.elements:
            for name in ("href", "src", "action"):
                link = element.attributes.get(name)
                if link is None or link == "data:,":
                    continue
                parts = urlsplit(link)
                if parts.scheme or parts.netloc or link.startswith("/"):
                    found.append(f"{path}: {link} leads out of the site")
                    continue
                target = normpath(join(dirname(path), unquote(parts.path))) if parts.path else path
                if target not in site:
                    found.append(f"{path}: {link} leads to no file")
                elif parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                    found.append(f"{path}: {link} leads to no place of the page")
    return found
