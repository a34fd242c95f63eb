"""The numbers under which an executor knows functions.

Owns: `FunctionTable`, which gives the same function the same number in every run, so that it travels to
a worker once and its measured time is remembered. A function that changed (its code, or what it closes
over) is another function.

May not know: who runs them. Neighbours: `pool` and `executors`, which keep one each.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 256
"""So many functions that no run needs now are remembered."""

_numbers = itertools.count()  # of the whole process: estimates of one executor serve no other


class FunctionTable(Generic[T]):
    """What stands behind each number, and how many runs need it."""

    def __init__(self, dropped: Callable[[int], None] | None = None) -> None:
        self._by_key: dict[Hashable, int] = {}
        self._by_number: dict[int, tuple[Hashable, T]] = {}
        self._uses: dict[int, int] = {}
        self._unused: dict[int, None] = {}
        self._dropped = dropped
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> T:
        return self._by_number[number][1]

    def add(self, key: Hashable, function: T) -> int:
        """The number of `function`; `key` tells whether it is one that is known already."""
        with self._lock:
            number = self._by_key.get(key)
            if number is None:
                number = self._by_key[key] = next(_numbers)
                self._by_number[number] = (key, function)
            self._unused.pop(number, None)
            self._uses[number] = self._uses.get(number, 0) + 1
            return number

    def release(self, number: int) -> None:
        """One run needs it no more; the oldest beyond `KEPT` are dropped."""
        with self._lock:
            self._uses[number] -= 1
            if self._uses[number]:
                return
            self._unused[number] = None
            while len(self._unused) > KEPT:
                oldest = next(iter(self._unused))
                del self._unused[oldest], self._uses[oldest]
                key, _ = self._by_number.pop(oldest)
                del self._by_key[key]
                if self._dropped is not None:
                    self._dropped(oldest)
