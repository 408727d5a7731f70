"""Work in a thread beside the caller's, one step ahead of it or behind it: waiting for an engine then costs no time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """`items`, none of which is None: the next is made while the caller works on the last.

    What making them raises is raised here. Closing this closes `items`.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay.ahead") as pool:
        due = pool.submit(next, items, None)
        try:
            while (each := due.result()) is not None:
                due = pool.submit(next, items, None)
                yield each
        finally:
            pool.submit(items.close).result()


class Behind:
    """Does one thing at a time; `do` waits for the one before. What a thing raises is raised by the next `do`, or on
    leaving.
    """

    def __enter__(self) -> Behind:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay.behind")
        self._last: Future[None] | None = None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None:
                self._wait()

    def do(self, call: Callable[[], None]) -> None:
        self._wait()
        self._last = self._pool.submit(call)

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()
