"""Which web pages may send events and read the answer (the CORS protocol of the Fetch standard, section 3.2).

No cookies are used, so credentials are never allowed, and `*` gives away nothing. Which pages a browser key is for is
another question (`collector.origins`), and is asked of the key.
"""

from __future__ import annotations

from functools import lru_cache

from collector.origins import allowed, normal
from collector.privacy import words
from collector.problems import Headers
from core.errors import ConfigError
from core.settings import Settings

# What browsers keep at most, two hours (Chromium) or a day (Firefox).
MAX_AGE_S = 86_400
_METHODS = b"GET, POST"
_HEADERS = b"authorization, content-encoding, content-type, traceparent, tracestate"
_EXPOSED = (b"access-control-expose-headers", b"retry-after")
_ANY = (b"access-control-allow-origin", b"*")
_VARY = (b"vary", b"origin")


class Cors:
    """
    Raises:
        ConfigError: a setting names what is no origin.
    """

    def __init__(self, settings: Settings) -> None:
        named = words(settings.collector_cors_origins)
        self._any = "*" in named
        origins = [normal(name) for name in named if name != "*"]
        if None in origins:
            raise ConfigError(
                "SLUICE_COLLECTOR_CORS_ORIGINS names what is no origin",
                hint="Such as https://shop.example, https://*.shop.example or *.",
            )
        self._origins = tuple(origin for origin in origins if origin is not None)
        self.headers = lru_cache(256)(self._headers)

    def preflight(self, origin: str) -> Headers:
        """The headers of the answer to OPTIONS."""
        headers = [*self.headers(origin)]
        if self._allows(origin):
            headers += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _HEADERS),
                (b"access-control-max-age", b"%d" % MAX_AGE_S),
            ]
        return headers

    def _headers(self, origin: str) -> tuple[tuple[bytes, bytes], ...]:
        """What any answer to a page of `origin` carries."""
        if self._any:
            return _ANY, _EXPOSED
        if self._allows(origin):
            return (b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED, _VARY
        return (_VARY,)

    def _allows(self, origin: str) -> bool:
        return self._any or allowed(origin, self._origins)
