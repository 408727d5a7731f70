"""Formats other than combined: what servers write is read back, and the format is recognised by itself."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cli.importer.formats import FORMATS, Detector, caddy_json, nginx_json, vhost
from cli.importer.formats.line import LogLine, MalformedLineError, site_of
from cli.importer.formats.w3c import W3cParser

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
EXPECTED = LogLine("1.2.3.4", "", "", AT, "GET", "/a?b=c", "HTTP/1.1", 200, 12, "http://x.org/", "Mozilla/5.0 (X)")
COMBINED = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 12 "http://x.org/" "Mozilla/5.0 (X)"'
NGINX = {
    "time_iso8601": "2015-05-17T12:05:03+02:00", "remote_addr": "1.2.3.4", "request": "GET /a?b=c HTTP/1.1",
    "status": "200", "body_bytes_sent": "12", "http_referer": "http://x.org/", "http_user_agent": "Mozilla/5.0 (X)",
    "request_time": "0.003",
}  # fmt: skip
CADDY = {
    "level": "info", "ts": 1431857103.0, "logger": "http.log.access", "msg": "handled request", "status": 200,
    "request": {
        "remote_ip": "9.9.9.9", "client_ip": "1.2.3.4", "proto": "HTTP/1.1", "method": "GET", "host": "example.org",
        "uri": "/a?b=c", "headers": {"Referer": ["http://x.org/"], "User-Agent": ["Mozilla/5.0 (X)"]},
        "tls": {"version": 772},
    },
    "user_id": "", "duration": 0.001, "size": 12, "resp_headers": {"Server": ["Caddy"]},
}  # fmt: skip
W3C = (
    b"#Software: Microsoft Internet Information Services 10.0",
    b"#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) cs(Referer) sc-status sc-bytes",
    b"2015-05-17 10:05:03 GET /a b=c 1.2.3.4 Mozilla/5.0+(X) http://x.org/ 200 12",
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: text != "-")
times = st.datetimes(datetime(1971, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
paths = texts.map(lambda text: "/" + text).filter(lambda path: " HTTP/" not in path)
# One column each: no white space.
words = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=20).filter(
    lambda word: word != "-"
)


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(at=times, target=paths, status=st.integers(100, 599), size=st.integers(0, 10**15), referrer=texts, agent=texts)
def test_nginx_json_comes_back(at, target, status, size, referrer, agent) -> None:
    line = {
        "time_iso8601": at.isoformat(), "remote_addr": "::1", "request": f"POST {target} HTTP/2.0",
        "status": str(status), "body_bytes_sent": size, "http_referer": referrer, "http_user_agent": agent,
    }  # fmt: skip
    assert nginx_json.parse_line(dumped(line)) == LogLine(
        "::1", "", "", at, "POST", target, "HTTP/2.0", status, size, referrer, agent
    )


@given(at=times, target=paths, status=st.integers(0, 599), size=st.integers(0, 10**15), referrer=texts, agent=texts)
def test_caddy_json_comes_back(at, target, status, size, referrer, agent) -> None:
    line = {
        "ts": at.isoformat(), "status": status, "size": size,
        "request": {
            "remote_ip": "::1", "method": "POST", "uri": target, "proto": "HTTP/3.0", "host": "example.org",
            "headers": {"Referer": [referrer], "User-Agent": [agent]},
        },
    }  # fmt: skip
    assert caddy_json.parse_line(dumped(line)) == LogLine(
        "::1", "", "", at, "POST", target, "HTTP/3.0", status, size, referrer, agent, "http://example.org"
    )


@given(at=times.map(lambda t: t.replace(microsecond=0)), stem=words, query=words, status=st.integers(100, 599),
       size=st.integers(0, 10**15), referrer=words, order=st.permutations(range(8)))  # fmt: skip
def test_w3c_comes_back_whatever_the_order_of_columns(at, stem, query, status, size, referrer, order) -> None:
    columns = [
        ("date", f"{at:%Y-%m-%d}".rjust(10, "0")), ("time", f"{at:%H:%M:%S}"), ("c-ip", "::1"),
        ("cs-uri-stem", "/" + stem), ("cs-uri-query", query), ("sc-status", str(status)), ("sc-bytes", str(size)),
        ("cs(Referer)", referrer),
    ]  # fmt: skip
    columns = [columns[n] for n in order]
    assume(not columns[0][1].startswith("#"))  # such a line is a directive
    parse = W3cParser()
    assert parse(b"#Fields: " + " ".join(name for name, _ in columns).encode()) is None
    assert parse(" ".join(value for _, value in columns).encode()) == LogLine(
        "::1", "", "", at, "", f"/{stem}?{query}", "", status, size, referrer, ""
    )


@given(host=words.filter(lambda word: ":" not in word), port=st.sampled_from(["", ":80", ":443", ":8080"]))
def test_vhost_combined_is_a_combined_line_with_a_site(host: str, port: str) -> None:
    site = {"": "http://{}", ":80": "http://{}", ":443": "https://{}", ":8080": "http://{}:8080"}[port].format(host)
    assert vhost.parse_line(f"{host}{port} ".encode() + COMBINED) == EXPECTED._replace(site=site)


@pytest.mark.parametrize("name", FORMATS)
@given(line=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_crash_a_parser(name: str, line: bytes) -> None:
    parse = FORMATS[name].new_parser()
    parse(b"#Fields: time sc-status") if name == "w3c" else None
    with contextlib.suppress(MalformedLineError):  # and nothing else
        parse(line)


@given(changes=st.dictionaries(
    st.sampled_from([*NGINX, "msec", "time_local", "request_uri"]),
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20) | st.just([]),
))  # fmt: skip
def test_odd_values_are_read_or_refused(changes: dict[str, Any]) -> None:
    for parse, line in ((nginx_json.parse_line, NGINX | changes), (caddy_json.parse_line, CADDY | {"ts": changes})):
        with contextlib.suppress(MalformedLineError):
            assert parse(dumped(line)).at.tzinfo is UTC


def sample(name: str) -> list[bytes]:
    return {
        "combined": [COMBINED],
        "vhost_combined": [b"example.org:443 " + COMBINED],
        "nginx-json": [dumped(NGINX)],
        "caddy-json": [dumped(CADDY)],
        "w3c": list(W3C),
    }[name]


@pytest.mark.parametrize(
    ("name", "site"),
    [("combined", ""), ("vhost_combined", "https://example.org"), ("nginx-json", ""),
     ("caddy-json", "https://example.org"), ("w3c", "")],
)  # fmt: skip
def test_the_format_is_recognised(name: str, site: str) -> None:
    detector = Detector()
    for garbage in (b"", b"garbage", b"{}", b"#Version: 1.0"):
        assert detector.see(garbage) is None
    *before, last = sample(name)
    assert [detector.see(line) for line in before] == [None] * len(before)
    found = detector.see(last)
    assert found is not None
    protocol = "" if name == "w3c" else "HTTP/1.1"
    assert (found[0].name, found[1]) == (name, EXPECTED._replace(site=site, protocol=protocol))
    other = Detector("combined" if name != "combined" else "w3c")
    assert [other.see(line) for line in sample(name)] == [None] * len(sample(name))


def test_times_of_nginx() -> None:
    bare = {"status": 200, "request": "GET / HTTP/1.1"}
    for time in ({"msec": "1431857103.250"}, {"msec": 1431857103.25}, {"time_iso8601": "2015-05-17T10:05:03.250Z"}):
        assert nginx_json.parse_line(dumped(bare | time)).at == AT.replace(microsecond=250_000)
    assert nginx_json.parse_line(dumped(bare | {"time_local": "17/May/2015:12:05:03 +0200"})).at == AT
    for time, reason in (({}, "format"), ({"time_iso8601": "2015-05-17T10:05:03"}, "time"), ({"msec": "1e99"}, "time")):
        with pytest.raises(MalformedLineError) as caught:
            nginx_json.parse_line(dumped(bare | time))
        assert caught.value.reason == reason


def test_w3c_without_a_date_and_with_new_columns() -> None:
    parse = W3cParser()
    with pytest.raises(MalformedLineError):
        parse(b"10:05:03 200")
    assert parse(b"#Date: 2015-05-17 00:00:00") is parse(b"#Fields: time sc-status") is None
    line = parse(b"10:05:03 200")
    assert line is not None
    assert (line.at, line.status, line.target) == (AT, 200, "")
    parse(b"#Fields: sc-status time cs-host cs-uri-stem")
    line = parse(b"404\t10:05:03\texample.org\t/x")
    assert line is not None
    assert (line.status, line.target, line.site) == (404, "/x", "http://example.org")


@pytest.mark.parametrize(
    ("host", "scheme", "site"),
    [("", "", ""), ("-", "", ""), ("e.org", "", "http://e.org"), ("e.org:443", "", "https://e.org"),
     ("e.org:443", "http", "http://e.org:443"), ("[::1]:81", "", "http://[::1]:81"), ("e.org", "https", "https://e.org")],
)  # fmt: skip
def test_sites(host: str, scheme: str, site: str) -> None:
    assert site_of(host, scheme=scheme) == site
