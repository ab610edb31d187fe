"""How often one address may guess, and how often one token may ask."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

_MINUTE = 60.0
_MOST_KEYS = 10_000
"""Addresses and tokens remembered; the one that was quiet longest is forgotten first."""


class FailedLogins:
    """Wrong credentials by address in the last minute. Safe to use from many threads."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = a_minute, clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self.total = 0

    def count(self, address: str) -> float:
        """Take note of one; seconds to wait if there were too many before it, else 0."""
        now = self._clock()
        with self._lock:
            self.total += 1
            times = self._times.setdefault(address, deque(maxlen=self._most))
            self._times.move_to_end(address)
            while len(self._times) > _MOST_KEYS:
                self._times.popitem(last=False)
            while times and times[0] <= now - _MINUTE:
                times.popleft()
            if len(times) >= self._most:
                return times[0] + _MINUTE - now if times else _MINUTE
            times.append(now)
            return 0.0


@dataclass
class _Bucket:
    level: float
    filled_at: float


class Rates:
    """A token bucket for each key: `a_second` on average, twice that at once."""

    def __init__(self, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = a_second, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; seconds to wait if none is left, else 0."""
        now, most = self._clock(), 2 * self._rate
        with self._lock:
            bucket = self._buckets.setdefault(key, _Bucket(most, now))
            self._buckets.move_to_end(key)
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
            bucket.level = min(most, bucket.level + (now - bucket.filled_at) * self._rate)
            bucket.filled_at = now
            if bucket.level < 1:
                return (1 - bucket.level) / self._rate
            bucket.level -= 1
            return 0.0
