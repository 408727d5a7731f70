"""Who sends a request: the keys it brings, looked up once each, and what the refused ones lead to.

One object a request, made before anything of it is judged. Knows no HTTP but the errors it raises.
"""

from __future__ import annotations

from collector.keys import BOOTSTRAP_KEY_ID, Grant, Keys, Refusal
from collector.problems import NotNowError, OriginError


class Caller:
    """`origin` is the page's as its browser names it, "" as long as it names none."""

    __slots__ = ("_keys", "bootstrap", "grant", "origin")

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.origin = ""
        self.grant: Grant | None = None  # of the key that was used last
        self.bootstrap = False  # whether the bootstrap key was used

    def find(self, text: str) -> Grant | None:
        """The grant of a key, None for one that does not work.

        Raises:
            NotNowError: keys are not read yet.
            OriginError: the key is a browser's, and for other pages.
        """
        found = self._keys.find(text, self.origin)
        if isinstance(found, Refusal):
            _refuse(found)
            return None
        self.grant = found
        if found.key_id == BOOTSTRAP_KEY_ID:
            self.bootstrap = True
        return found


def _refuse(refusal: Refusal) -> None:
    if refusal.reason == "not_loaded":
        raise NotNowError("the tracking keys are not read yet", retry_after_s=1)
    if refusal.reason == "origin":
        raise OriginError("the tracking key is not for pages of this origin")
