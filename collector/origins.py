"""Origins of web pages (RFC 6454) that a browser key is bound to: `https://shop.example`, `https://*.shop.example`.

`none` stands for requests that name no page: pictures in mails, pages that send no referrer, apps.
"""

from __future__ import annotations

import re

_HOST = r"(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\]"
_FORM = re.compile(rf"(https?)://({_HOST})(:[1-9][0-9]{{0,4}})?", re.ASCII)
_MAX_LENGTH = 300
NO_PAGE = "none"
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def normal(origin: str) -> str | None:
    """`origin` as browsers write it, None if it is none. `*.` may stand for any subdomains."""
    found = _FORM.fullmatch(origin.lower()) if len(origin) <= _MAX_LENGTH else None
    if found is None:
        return None
    scheme, host, port = found[1], found[2], found[3] or ""
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS[scheme] else port}"


def allowed(origin: str, origins: tuple[str, ...]) -> bool:
    """Whether a page of `origin`, as its browser names it, is one of `origins`, which are normal or NO_PAGE."""
    if (origin or NO_PAGE) in origins:
        return origin != NO_PAGE
    scheme, _, host = origin.partition("://")
    return any(
        pattern.startswith(f"{scheme}://*.") and host.endswith(pattern[len(scheme) + 4 :]) and origin == normal(origin)
        for pattern in origins
        if "*" in pattern
    )
