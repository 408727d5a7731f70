"""The line parser: what servers write is read back, and what is no log line is refused with a reason."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importer.formats import FORMATS
from cli.importer.formats.combined import parse_line
from cli.importer.formats.line import MalformedLineError

COMBINED = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 12 "http://x.org/" "Mozilla/5.0"'


def apache(text: str) -> bytes:
    """Escape as Apache's ap_escape_logitem: quotes and backslashes by a backslash, what is unprintable by \\xHH."""
    out = bytearray()
    for byte in text.encode():
        if byte in b'"\\':
            out += b"\\" + bytes([byte])
        elif byte in b"\n\r\t\b\v":
            out += b"\\" + {10: b"n", 13: b"r", 9: b"t", 8: b"b", 11: b"v"}[byte]
        else:
            out += bytes([byte]) if 32 <= byte < 127 else b"\\x%02x" % byte
    return bytes(out)


def nginx(text: str) -> bytes:
    """Escape as nginx does by default: \\xHH for quotes, backslashes and all beyond printable ASCII."""
    return b"".join(bytes([b]) if 32 <= b < 127 and b not in b'"\\' else b"\\x%02X" % b for b in text.encode())


def raw_utf8(text: str) -> bytes:
    """Old servers and those behind them that only escape the quote."""
    return text.replace("\\", "\\\\").replace('"', '\\"').encode()


escapes = st.sampled_from([apache, nginx])
# A lone "-" means "unknown" in the format itself, so it cannot be told from a header of that value.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: text != "-")
words = st.text("abcdefgXYZ0189.-_@:", min_size=1, max_size=12).filter(lambda word: word != "-")
hosts = st.one_of(st.ip_addresses().map(str), st.just("crawler.example.org"))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
first, last = datetime(1971, 1, 1), datetime(2400, 1, 1)  # noqa: DTZ001 (st.datetimes adds the zone)
times = st.datetimes(first, last, timezones=offsets).map(lambda t: t.replace(microsecond=0))
targets = texts.map(lambda text: "/" + text).filter(lambda target: " HTTP/" not in target)


def stamp(at: datetime) -> str:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{at:%d}/{months[at.month - 1]}/{at:%Y:%H:%M:%S %z}"


@given(
    escape=escapes, host=hosts, user=words, at=times, target=targets, status=st.integers(100, 599),
    size=st.none() | st.integers(0, 10**15), referrer=texts, agent=texts, combined=st.booleans(),
)  # fmt: skip
def test_fields_come_back(  # noqa: PLR0917 (drawn by name)
    escape, host, user, at, target, status, size, referrer, agent, combined
) -> None:
    line = (
        f'{host} - {user} [{stamp(at)}] "POST '.encode()
        + escape(target)
        + f' HTTP/2.0" {status} {"-" if size is None else size}'.encode()
    )
    if combined:
        line += b' "' + escape(referrer) + b'" "' + escape(agent) + b'"'
    parsed = parse_line(line)
    assert (parsed.host, parsed.ident, parsed.user) == (host, "", user)
    assert parsed.at == at
    assert parsed.at.tzinfo is UTC
    assert (parsed.method, parsed.target, parsed.protocol) == ("POST", target, "HTTP/2.0")
    assert (parsed.status, parsed.size) == (status, size or 0)
    assert (parsed.referrer, parsed.user_agent) == ((referrer, agent) if combined else ("", ""))


@given(agent=texts.filter(lambda text: "\n" not in text))
def test_unescaped_unicode_comes_back(agent: str) -> None:
    assert parse_line(COMBINED.replace(b"Mozilla/5.0", raw_utf8(agent))).user_agent == agent


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(line: bytes) -> None:
    with pytest.raises(MalformedLineError):
        parse_line(line)


@given(position=st.integers(0, len(COMBINED) - 1), piece=st.binary(max_size=3))
def test_a_damaged_line_is_read_or_refused(position: int, piece: bytes) -> None:
    damaged = COMBINED[:position] + piece + COMBINED[position + 1 :]
    with contextlib.suppress(MalformedLineError):  # and nothing else
        "".join((parse_line(damaged).target, parse_line(damaged).user_agent)).encode()  # no lone surrogates


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"),
        (b"hello", "format"),
        (COMBINED[:-1], "format"),
        (COMBINED.replace(b" 200 ", b" 20 "), "format"),
        (COMBINED.replace(b"17/May", b"31/Feb"), "time"),
        (COMBINED.replace(b"17/May", b"17/Mai"), "time"),
        (COMBINED.replace(b"10:05:03", b"10:61:03"), "time"),
        (COMBINED.replace(b"17/May/2015", b"01/Jan/0001").replace(b"+0000", b"+2300"), "time"),
        (COMBINED.replace(b"17/May/2015", b"01/Jan/2015").replace(b"+0000", b"+9900"), "time"),
        (b"example.org:80 " + COMBINED, "extra_field"),
        (COMBINED.replace(b"Mozilla/5.0", b'Mozilla "5.0"'), "format"),
    ],
)
def test_reasons(line: bytes, reason: str) -> None:
    with pytest.raises(MalformedLineError) as caught:
        parse_line(line)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET / HTTP/1.1", ("GET", "/", "HTTP/1.1")),
        (b"GET /a b c HTTP/1.0", ("GET", "/a b c", "HTTP/1.0")),
        (b"GET /old", ("GET", "/old", "")),
        (b"OPTIONS * HTTP/1.1", ("OPTIONS", "*", "HTTP/1.1")),
        (b"-", ("", "", "")),
        (b"", ("", "", "")),
        (rb"\x16\x03\x01\x02", ("", "", "")),
        (rb"GET /\xd7\x90?q=\"x\" HTTP/1.1", ("GET", '/\u05d0?q="x"', "HTTP/1.1")),
    ],
)
def test_requests(request_line: bytes, expected: tuple[str, str, str]) -> None:
    parsed = parse_line(COMBINED.replace(b"GET /a?b=c HTTP/1.1", request_line))
    assert (parsed.method, parsed.target, parsed.protocol) == expected


def test_unknown_fields_are_empty_and_unknown_escapes_stay() -> None:
    parsed = parse_line(rb'::1 - "" [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 304 - "-" "a\dz\x4"')
    assert (parsed.host, parsed.size, parsed.referrer, parsed.user_agent) == ("::1", 0, "", r"a\dz\x4")


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert parse_line(COMBINED.replace(b"Mozilla", b"M\xff\xfe")).user_agent == "M\ufffd\ufffd/5.0"
    assert parse_line(COMBINED.replace(b"x.org", rb"\xe4.org")).referrer == "http://\ufffd.org/"


def test_fields_after_the_user_agent_are_ignored() -> None:
    assert parse_line(COMBINED + b' "10.0.0.1" 0.003') == parse_line(COMBINED)


def test_a_user_may_hold_spaces_and_brackets() -> None:
    parsed = parse_line(COMBINED.replace(b"- - [", b"- J. [17/May/2015:10:05:03 +0000] Doe ["))
    assert parsed.user == "J. [17/May/2015:10:05:03 +0000] Doe"


def test_a_hostile_line_takes_linear_time() -> None:
    stamps = b"[17/May/2015:10:05:03 +0000] " * 4_000
    began = process_time()
    for line in (
        b"1.2.3.4 - " + stamps,
        COMBINED[:-1] + rb"\"" * 60_000,
        COMBINED.replace(b"/a", b" HTTP/1.1" * 12_000),
    ):
        with contextlib.suppress(MalformedLineError):
            parse_line(line)
    assert process_time() - began < 1.0  # milliseconds, unless the pattern backtracks


def test_every_prefix_of_a_line_is_no_line_or_does_not_end_like_a_whole_one() -> None:
    for end in range(len(COMBINED)):
        prefix = COMBINED[:end]
        if prefix.endswith(FORMATS["combined"].whole_end):
            with pytest.raises(MalformedLineError):
                parse_line(prefix)
    assert COMBINED.endswith(FORMATS["combined"].whole_end)
