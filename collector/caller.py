"""Who sends a request: the keys it brings, looked up and charged to their limits, and what the refused ones lead to.

One object a request, made before anything of it is judged. Knows no HTTP but the errors it raises.
"""

from __future__ import annotations

from collector.controls import Controls
from collector.keys import BOOTSTRAP_KEY_ID, Grant, Refusal
from collector.limits import Exceeded
from collector.problems import BrowserKeyError, NotNowError, OriginError, RateLimitedError


class Caller:
    """`origin` is the page's as its browser names it, "" as long as it names none; `address` the client's, whole.
    `browser_only`: keys stand where everyone can read them.

    `locked` is set once the client has brought so many keys that do not work that no further one is looked up.
    """

    __slots__ = ("_charged", "_controls", "address", "bootstrap", "browser_only", "grant", "locked", "origin")

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._charged: tuple[str, ...] = ()
        self.origin = ""
        self.address = ""
        self.browser_only = False
        self.grant: Grant | None = None  # of the key that was used last
        self.bootstrap = False  # whether the bootstrap key was used
        self.locked: Exceeded | None = None

    def find(self, text: str) -> Grant | None:
        """The grant of a key, None for one that does not work.

        Raises:
            NotNowError: keys are not read yet.
            OriginError: the key is a browser's, and for other pages.
            BrowserKeyError: the key is none of a browser, and only such keys are for here.
            RateLimitedError: a limit of the key is used up.
        """
        if self.locked:
            return None
        found = self._controls.keys.find(text, self.origin)
        if self.browser_only and isinstance(found, Grant) and not found.browser:
            found = Refusal("exposed_key", found.tenant, found.key_id)
        if isinstance(found, Refusal):
            self._refuse(found)
            return None
        if found.key_id not in self._charged:
            if self._guessed(found):
                return None
            self._charge(found)
        self.grant = found
        return found

    def _guessed(self, grant: Grant) -> bool:
        """The answer to the right secret is that to a wrong one, as long as somebody guesses from there."""
        limits = self._controls.limits
        self.locked = limits.guessed(grant.key_id, self.address) if limits else None
        if self.locked:
            self._count("wrong_secret", "", grant.key_id)
        return self.locked is not None

    def _charge(self, grant: Grant) -> None:
        """Once a request, however many of its events bring the key."""
        limits = self._controls.limits
        if limits and (exceeded := limits.take(grant, self.address)):
            self._count(f"limit_{exceeded.limit}", grant.tenant, grant.key_id)
            raise _limited(exceeded)
        self._charged = (*self._charged, grant.key_id)
        if grant.key_id == BOOTSTRAP_KEY_ID:
            self.bootstrap = True

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.reason == "not_loaded":
            raise NotNowError("the tracking keys are not read yet", retry_after_s=1)
        self._count(refusal.reason, refusal.tenant, refusal.key_id)
        if self._controls.limits:
            guessed = refusal.key_id if refusal.reason == "wrong_secret" else ""
            self.locked = self._controls.limits.refuse(self.address, guessed_id=guessed)
        if refusal.reason == "origin":
            raise OriginError("the tracking key is not for pages of this origin")
        if refusal.reason == "exposed_key":
            raise BrowserKeyError(
                "pixels and beacons take browser keys only: this one is secret and must not stand in a URL or a page. "
                "Make a browser key, and replace this one if it was published"
            )

    def _count(self, reason: str, tenant: str, key_id: str) -> None:
        if self._controls.abuse:
            self._controls.abuse.count(reason, address=self.address, tenant=tenant, key_id=key_id)

    def lock_error(self) -> RateLimitedError | None:
        """What to answer instead of 401 to a client that brings one bad key after the other."""
        return _limited(self.locked) if self.locked else None


def _limited(exceeded: Exceeded) -> RateLimitedError:
    return RateLimitedError(
        "too many requests" if exceeded.limit in {"client", "key", "tenant"} else "too many keys that do not work",
        limit=exceeded.limit,
        per_minute=exceeded.per_minute,
        retry_after_s=exceeded.retry_after_s,
    )
