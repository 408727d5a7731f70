"""Confluent wire format: which schema the Avro bytes of a record were written with.

Written: magic byte 0 and the 4-byte big-endian schema id. Read: that, and magic byte 1 with a 16-byte schema GUID
(Confluent Platform 8's second form).
"""

from __future__ import annotations

import struct
import uuid

from core.errors import InputError

ID_PREFIX_BYTES = 5
_GUID_PREFIX_BYTES = 17


class FramingError(InputError):
    code = "bad_framing"


def prefix(schema_id: int) -> bytes:
    return b"\0" + struct.pack(">I", schema_id)


def split(value: bytes) -> tuple[int | uuid.UUID, int]:
    """`(schema id or GUID, position of the Avro body)` of a framed value.

    Raises:
        FramingError: empty, truncated or unknown magic byte.
    """
    magic = value[:1]
    if magic == b"\0" and len(value) >= ID_PREFIX_BYTES:
        return int.from_bytes(value[1:ID_PREFIX_BYTES], "big"), ID_PREFIX_BYTES
    if magic == b"\x01" and len(value) >= _GUID_PREFIX_BYTES:
        return uuid.UUID(bytes=value[1:_GUID_PREFIX_BYTES]), _GUID_PREFIX_BYTES
    raise FramingError(f"not in Confluent wire format: {len(value)} bytes starting with {magic.hex() or 'nothing'}")
