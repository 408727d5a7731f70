"""What keys and rate limits cost a request, without HTTP and Kafka: `python -m bench.limits [FOLDER]`.

The table lies in FOLDER, by default one in /tmp, as that of a collector lies in its state folder.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.timing import cpu_us, show
from collector import key_entries, key_text
from collector.caller import Caller
from collector.controls import Controls
from collector.key_entries import KEY, KeyRecord
from collector.key_table import KeyTable
from collector.key_text import Pepper
from collector.keys import Grant
from collector.limits import Limits
from core.settings import Settings

_REQUESTS = 20_000
_CLIENTS = 5_000


def main() -> None:
    pepper = Pepper("bench")
    keys = KeyTable(pepper=pepper, bootstrap_key="slc_live_bootstrap", bootstrap_tenant="demo")
    keys.loaded = True
    key = key_text.mint("live")
    record = KeyRecord(key.id, "shop", "server", "live", pepper.hash(key.text).hex(), pepper.fingerprint, 1)
    keys.take(f"{KEY}{key.id}", key_entries.encode(record))
    addresses = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(_CLIENTS)]
    with tempfile.TemporaryDirectory() as made:
        settings = Settings(state_dir=Path(sys.argv[1] if len(sys.argv) > 1 else made))
        high = replace(settings, limit_client_per_minute=10**9)
        three = replace(high, limit_key_per_minute=10**9, limit_tenant_per_minute=10**9)
        one_limit, three_limits = (Limits.shared(each, pepper=pepper) for each in (high, three))
        strict = Limits.shared(replace(settings, limit_client_per_minute=1), pepper=pepper)
        grant = Grant("shop", key.id)

        def find() -> None:
            for _ in range(_REQUESTS):
                keys.find(key.text)

        def find_bootstrap() -> None:
            for _ in range(_REQUESTS):
                keys.find("slc_live_bootstrap")

        def take(limits: Limits, addresses: list[str] = addresses) -> None:
            for number in range(_REQUESTS):
                limits.take(grant, addresses[number % len(addresses)])

        def caller() -> None:
            controls = Controls(keys=keys, limits=one_limit)
            for number in range(_REQUESTS):
                made = Caller(controls)
                made.address = addresses[number % _CLIENTS]
                made.find(key.text)

        many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(_REQUESTS)]
        show(
            [
                (name, cpu_us(call, events=_REQUESTS))
                for name, call in (
                    ("find a key", find),
                    ("find the bootstrap key", find_bootstrap),
                    ("a limit a client", lambda: take(one_limit)),
                    ("the same, every client a new one", lambda: take(one_limit, many)),
                    ("limits a client, a key and a tenant", lambda: take(three_limits)),
                    ("a client above its limit", lambda: take(strict)),
                    ("all that a request is asked: key, limit", caller),
                )
            ]
        )


if __name__ == "__main__":
    main()
