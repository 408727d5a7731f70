"""Takes secrets and addresses out of an event before anything is written: spool, topics, logs, answers.

What is taken out, in every string of the event, wherever it stands:

- values of URL query (and fragment) parameters whose name contains one of the configured words, also behind
  percent-encoding and inside a URL that is itself a parameter's value
- user and password of a URL (`https://user:password@host`)
- tracking keys, which some clients repeat in the URL
- values of properties whose name contains one of the configured words
- the last part of IP addresses, in properties and parameters that are named as addresses are (`ip`, `client_ip`,
  `remoteAddress`, `x-forwarded-for`): what is left is the network, as `collector.network` cuts it

Nothing else of the event changes, not even white space: strings are replaced in the text, which is never decoded as a
whole. An event in which no suspicious word occurs is looked through once and stays the same object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

import msgspec
from ahocorasick_rs import BytesAhoCorasick

from collector.faults import JSON_ERRORS
from collector.network import cut

REDACTED = "REDACTED"
# URLs in parameters of URLs. Whoever encodes a fourth time hides something from himself.
_MAX_ENCODINGS = 3
_TRACKING_KEY = re.compile(r"slc_[a-z]+_[A-Za-z0-9_\-]+")
_CREDENTIALS = re.compile(r"(://)[^/?#\s\"'<>\\]*@")
_PARAMETER = re.compile(r"(^|[?&;#])([^=&?#;\s\"'<>]+)=([^&#;\s\"'<>]*)")
# A string of JSON text and, if it is a key, the colon behind it; or a number, which only matters behind a key.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|(?<=[:,\[\s])-?\d[\d.eE+\-]*', re.DOTALL)
_NAME = re.compile(r"[$_@]*[A-Za-z0-9]+(?:[_.\- ][A-Za-z0-9]+)*")
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_ADDRESS_WORDS = frozenset({"addr", "address"})
_DECODER = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_CREDENTIALS_IN_JSON = re.compile(rb":(?:\\?/){2}(?:[^/?#\s\"\\]|\\.)*@")
_ENCODED = re.compile("%(?:3[dD]|2[dD]|[4-7]|25)")
_ESCAPED_ASCII = re.compile(rb"\\u00(?:[4-7]|3d|40|2d)")
# What the names of addresses look like from afar; `names_address` decides.
_ADDRESS_SIGNS = frozenset(
    {f"{name}{end}" for name in ("ip", "ips", "ipv4", "ipv6") for end in '"='}
    | {f"{whose}{between}addr" for whose in ("ip", "remote", "client", "peer") for between in ("", *"_-.+ ")}
    | {"forwarded"}
)
# Where a sign may hide behind an encoding: letters, `=`, `@` or `%` that nobody had to encode.
_MAYBE = ("%3d", "%2d", "%4", "%5", "%6", "%7", "%25", "\\u003d", "\\u002d", "\\u004", "\\u005", "\\u006", "\\u007")
# The one field whose value is a credential by contract. It is needed for judging and never written.
_KEPT = frozenset({"tracking_key"})


class Redaction:
    """What is to be taken out, compiled once. Holds no state; the same text always comes out the same, so that a
    client's retry stays the same event.
    """

    def __init__(self, *, parameters: Iterable[str], properties: Iterable[str], secrets: Iterable[str] = ()) -> None:
        """`parameters` and `properties` are words looked for in names, in any case; `secrets` whole values."""
        self._parameters = tuple(word.lower() for word in parameters if word)
        self._properties = tuple(word.lower() for word in properties if word)
        self._secrets = tuple(secret for secret in secrets if secret)
        words = {*self._parameters, *self._properties, *(s.lower() for s in self._secrets), *_ADDRESS_SIGNS, "slc_"}
        self._signs = _matcher(words)
        self._maybe = _matcher(_MAYBE)
        self._anything = _matcher({*words, *_MAYBE, "@"})

    def apply(self, event: bytes) -> bytes:
        """`event` (JSON text) without secrets; the same object if there was nothing suspicious. Never raises: text
        that is no JSON comes back for somebody else to refuse.
        """
        return _Rewriting(self).of(event) if self.suspicious(event) else event

    def text(self, value: str) -> str:
        """One string, such as a URL or a user agent."""
        for secret in self._secrets:
            value = value.replace(secret, REDACTED)
        value = _TRACKING_KEY.sub(REDACTED, value) if "slc_" in value else value
        value = _CREDENTIALS.sub(r"\1", value) if "@" in value else value
        return self._parameters_of(value, _MAX_ENCODINGS) if "=" in value else value

    def secret_name(self, name: str) -> bool:
        """Whether a property of this name is never passed on."""
        lowered = name.lower()
        return any(word in lowered for word in self._properties)

    def suspicious(self, event: bytes) -> bool:
        """Whether `apply` would look closer. If not at several events in one text, then not at any of them alone."""
        lowered = event.lower()
        if not self._anything(lowered):  # most events: one pass instead of three
            return False
        if self._signs(lowered) or (b"@" in lowered and _CREDENTIALS_IN_JSON.search(lowered)):
            return True
        if not self._maybe(lowered):
            return False
        if b"\\u" in lowered and _ESCAPED_ASCII.search(lowered):
            return True
        for _ in range(_MAX_ENCODINGS):
            lowered = unquote_to_bytes(lowered).lower()
            if self._signs(lowered) or _CREDENTIALS_IN_JSON.search(lowered):
                return True
        return False

    def _parameters_of(self, text: str, encodings: int) -> str:
        def replaced(match: re.Match[str]) -> str:
            before, name, value = match.groups()
            plain = _decoded(name).lower()
            if any(word in plain for word in self._parameters):
                value = REDACTED
            elif names_address(plain):
                value = quote(networks(unquote_plus(value)), safe=":,.")
            # Nothing is hidden in what has no encoded `=`, letter, `@` or `%`.
            elif encodings and "%" in value and _ENCODED.search(value):
                inner = unquote(value)
                cleaned = self.text(inner) if encodings == _MAX_ENCODINGS else self._parameters_of(inner, encodings - 1)
                value = quote(cleaned, safe="") if cleaned != inner else value
            return f"{before}{name}={value}"

        return _PARAMETER.sub(replaced, text)


def _matcher(words: Iterable[str]) -> Callable[[bytes], list[tuple[int, int, int]]]:
    """Finds any of `words` in one pass: twenty searches of an event, one after the other, cost five times as much."""
    return BytesAhoCorasick([word.encode() for word in sorted(words)]).find_matches_as_indexes


class _Rewriting:
    """One pass over the tokens of one event. Remembers the last key, so a list belongs to the key before it."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._key = ""

    def of(self, event: bytes) -> bytes:
        return _TOKEN.sub(self._token, event)

    def _token(self, match: re.Match[bytes]) -> bytes:
        whole = match.group()
        quoted, colon = match.group(1), match.group(2)
        if quoted is None:
            return b'"%b"' % REDACTED.encode() if self._redaction.secret_name(self._key) else whole
        try:
            text = _DECODER.decode(whole[: len(whole) - len(colon or b"")])
        except JSON_ERRORS:
            return whole
        if colon is not None:
            self._key = text
            return whole
        cleaned = self._value(text)
        return whole if cleaned == text else _encode(cleaned)

    def _value(self, text: str) -> str:
        if self._key in _KEPT:
            return text
        if self._redaction.secret_name(self._key):
            return REDACTED
        if names_address(self._key):
            return networks(text)
        return self._redaction.text(text)


@lru_cache(4096)
def names_address(name: str) -> bool:
    """Whether a property or parameter of this name holds IP addresses: its last word is `ip`, or it is one of the
    headers' names.
    """
    words = [word.lower() for word in _WORDS.findall(name)] if _NAME.fullmatch(name) else []
    while words and words[-1] in _ADDRESS_WORDS:
        words.pop()
        if words and words[-1] in {"remote", "client", "peer"}:
            return True
    return bool(words) and (words[-1] in {"ip", "ips", "ipv4", "ipv6"} or words[-2:] == ["forwarded", "for"])


def networks(text: str) -> str:
    """`text` with each address of a comma-separated list cut to its network; what is no address stays."""
    return ",".join(_network(part) for part in text.split(","))


def _network(part: str) -> str:
    bare = part.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    return cut(bare) or part


@lru_cache(4096)
def _decoded(name: str) -> str:
    for _ in range(_MAX_ENCODINGS):
        if "%" not in name and "+" not in name:
            break
        name = unquote_plus(name)
    return name
