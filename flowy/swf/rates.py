"""How fast requests are made: no faster than AWS refills, and slower after each failure.

Owns: `Rate`, a token bucket that makes its callers wait, and `Backoff`, the pauses between tries.

May not know: what is asked for.
"""

from __future__ import annotations

import random
import threading
import time

__all__ = ["Backoff", "Rate"]


class Rate:
    """A token bucket; safe between threads.

    Args:
        refill: tokens a second.
        burst: the most that it holds; it is full at first.
    """

    def __init__(self, refill: float, burst: float) -> None:
        self._refill = refill
        self._burst = self._tokens = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take one, and wait until it is there."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._refill) - 1
            self._at = now
            owed = -self._tokens / self._refill  # who comes next waits longer: the debt is kept
        if owed > 0:
            time.sleep(owed)


class Backoff:
    """Growing pauses, each of which is anywhere between half and all of it, so that workers that failed
    together do not come back together.

    Args:
        first, most: seconds of the first pause, and of the longest.
    """

    def __init__(self, first: float = 0.1, most: float = 20.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """It went well."""
        self._next = self._first

    def pause(self) -> float:
        """Seconds to wait now."""
        now, self._next = self._next, min(self._most, self._next * 2)
        return now * random.uniform(0.5, 1.0)
