"""What decides over requests in a collector process, for real: keys and flags that are followed, limits, the API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial

from collector.abuse import AbuseLog
from collector.admin_gate import AdminGate
from collector.controls import Controls
from collector.drops import DropLog
from collector.following import Following
from collector.key_admin import KeyAdmin
from collector.key_table import KeyTable
from collector.key_text import Pepper
from collector.limits import Limits
from collector.proxies import Proxies
from core import control, secret_file
from core.clock import SystemClock
from core.flags import Flags
from core.settings import Settings

# Hidden, beside the files of the state folder.
PEPPER_FILE = ".key-pepper"
TOKEN_FILE = ".admin-token"  # noqa: S105 (a name)


class Control:
    """One a process. `start` on the running event loop, `close` at the end.

    Raises:
        StateError: a secret is to be generated and cannot be kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pepper = Pepper(settings.key_pepper or secret_file.keep(settings.state_dir / PEPPER_FILE))
        self._token = settings.admin_token or secret_file.keep(settings.state_dir / TOKEN_FILE)
        self.flags = Flags()
        self.keys = KeyTable(
            pepper=self._pepper,
            bootstrap_key=settings.bootstrap_key,
            bootstrap_tenant=settings.bootstrap_tenant,
        )
        self.limits = Limits.shared(settings, pepper=self._pepper)
        collector = f"{socket.gethostname()}-{settings.collector_worker_id}"
        self.abuse = AbuseLog(settings, collector=collector, clock=SystemClock())
        self.drops = DropLog(settings, collector=collector, clock=SystemClock())
        self._loaded = asyncio.Event()

    def controls(self) -> Controls:
        proxies = Proxies(self._settings.collector_trusted_proxies)
        gate = AdminGate(self._token, proxies=proxies, limits=self.limits, abuse=self.abuse)
        admin = KeyAdmin(
            self._settings,
            keys=self.keys,
            pepper=self._pepper,
            gate=gate,
            store=lambda entries, first: control.put(self._settings, entries, first=first),
            clock=SystemClock(),
        )
        return Controls(
            keys=self.keys,
            flags=self.flags,
            limits=self.limits,
            abuse=self.abuse,
            drops=self.drops,
            routes=admin.routes(),
            trouble=self.trouble,
        )

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._following = Following(
            self._settings,
            keys=self.keys,
            flags=self.flags,
            abuse=self.abuse,
            drops=self.drops,
            on_loaded=partial(_set, loop, self._loaded),
        )
        self._following.start()

    async def wait_loaded(self) -> None:
        """Until all keys that were there at the start are known."""
        await self._loaded.wait()

    def trouble(self) -> str:
        """Why events sent now will not be stored; it never blocks."""
        return "" if self.keys.loaded else "the tracking keys are not read yet"

    async def close(self) -> None:
        await asyncio.to_thread(self._following.stop)
        self.limits.close()


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(event.set)
