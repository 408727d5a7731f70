"""What a tracking key looks like: `slc_live_k7m2p9xq4w_<32 letters and digits>`.

The prefix is one that scanners for leaked secrets recognise. The id in the middle is no secret: it names the key in
lists, logs and on every event. Keys are stored as keyed hashes only, over the whole text.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["live", "test"]

# Without what is mistaken for something else when it is read aloud.
_ID_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LENGTH = 10
_SECRET_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # noqa: S105
# 190 bits.
_SECRET_LENGTH = 32
_FORM = re.compile(rf"slc_(?:live|test)_([{_ID_ALPHABET}]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}}", re.ASCII)
DIGEST_BYTES = 32
_FINGERPRINT_BYTES = 4


@dataclass(frozen=True, slots=True)
class KeyText:
    """`text` is all of it, and a secret."""

    mode: Mode
    id: str
    text: str = field(repr=False)


def id_of(text: str) -> str | None:
    """The id in a key's text, None for what cannot be a key."""
    found = _FORM.fullmatch(text)
    return found[1] if found else None


def mint(mode: Mode) -> KeyText:
    """A new key that nobody else has."""
    return _made(mode, _drawn(_ID_ALPHABET, _ID_LENGTH), _drawn(_SECRET_ALPHABET, _SECRET_LENGTH))


def derive(mode: Mode, key_id: str, *, pepper: Pepper) -> KeyText:
    """The key of a browser: public, so that its text follows from id and pepper and can be shown again."""
    digest = pepper.hash(f"browser key {mode} {key_id}")
    return _made(mode, key_id, "".join(_SECRET_ALPHABET[byte % len(_SECRET_ALPHABET)] for byte in digest))


def mint_browser(mode: Mode, *, pepper: Pepper) -> KeyText:
    return derive(mode, _drawn(_ID_ALPHABET, _ID_LENGTH), pepper=pepper)


class Pepper:
    """The secret that keys are hashed with. It is not in Kafka, so that its contents alone are of no use.

    `fingerprint` tells two of them apart and says nothing about either.
    """

    def __init__(self, secret: str) -> None:
        # Keyed BLAKE2 (RFC 7693 section 2.9) takes 64 bytes.
        self._key = hashlib.blake2b(secret.encode()).digest()
        self.fingerprint = self.hash("fingerprint")[:_FINGERPRINT_BYTES].hex()

    def hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=DIGEST_BYTES).digest()


def _made(mode: Mode, key_id: str, secret: str) -> KeyText:
    return KeyText(mode, key_id, f"slc_{mode}_{key_id}_{secret}")


def _drawn(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
