"""The first query of the Go driver over HTTP, answered so that it goes on with plain Native.

The driver asks for its revision together with `client_protocol_version` and then expects Native blocks of that protocol
revision, which the embedded engine cannot write. Told that the server's revision is 0, it reads plain Native.
"""

from __future__ import annotations

from infra.clickhouse.statement import Statement


def is_hello(statement: Statement, *, form: str, has_protocol_version: bool) -> bool:
    text = statement.text.lower()
    return has_protocol_version and form.lower() == "native" and b"revision()" in text and b"displayname()" in text


def reply(*, display_name: str, version: str, timezone: str) -> bytes:
    """One Native block (with the block info this one query has) of one row."""
    columns = (
        ("displayName()", "String", _string(display_name)),
        ("version()", "String", _string(version)),
        ("revision()", "UInt32", bytes(4)),
        ("timezone()", "String", _string(timezone)),
    )
    block_info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    sizes = bytes([len(columns), 1])
    return block_info + sizes + b"".join(
        _string(name) + _string(kind) + b"\x00" + data for name, kind, data in columns
    )  # fmt: skip


def _string(text: str) -> bytes:
    data = text.encode()[:127]  # one length byte; nothing here is longer
    return bytes([len(data)]) + data
