"""The security matrix of the HTTP edge: raw sockets against the real server, a file for each group of rows.

| Row | File |
|---|---|
| oversized body, header, URL; too many events, properties, headers, connections | `test_sizes.py` |
| decompression bombs, nested and doubled encodings | `test_sizes.py`, `tests/collector/test_inflate.py` |
| slow and silent clients: head, body, reading, idle; pipelining | `test_slow.py` |
| CL+TE, chunked abuse, whatever two servers read differently | `test_framing.py` |
| odd JSON: deep, NaN, huge numbers, duplicate keys, BOM, UTF-8, surrogates, NUL | `test_json_bodies.py` |
| header, log and CRLF injection; secrets in answers, logs and metrics; labels without bound | `test_leaks.py` |
| another tenant's events, fields that nobody may set | `test_tenants.py` |

Every answer of every test passes `answers`, which holds what is promised of all: no 5xx but for overload, and errors as
problem+json with a code.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.collector.live import status


def answers(received: bytes) -> list[tuple[int, Any]]:
    """Status and JSON of each answer in what a client received."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):
            received = rest
            continue
        lines = [line.lower().partition(b": ") for line in head.split(b"\r\n")[1:]]
        fields = {name: value for name, _, value in lines}
        length = int(fields[b"content-length"])
        body, received = rest[:length], rest[length:]
        assert len(body) == length, "an answer is cut off"
        code = status(head)
        content: Any = msgspec.json.decode(body) if b"json" in fields[b"content-type"] else body
        if code >= 400 and not (code == 503 and fields[b"content-type"] == b"application/json"):
            assert fields[b"content-type"] == b"application/problem+json"
            assert content["status"] == code
            assert content["code"]
            assert content["detail"]
        assert code < 500 or (code == 503 and b"retry-after" in fields), content
        found.append((code, content))
    return found


def answer(received: bytes) -> tuple[int, Any]:
    """The only one."""
    (only,) = answers(received)
    return only


def refusal(received: bytes) -> tuple[int, str]:
    """Status and code of the only answer, which is a problem."""
    code, problem = answer(received)
    return code, problem["code"]
