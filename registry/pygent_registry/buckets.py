"""So much a minute, for each name: a token bucket each. Pure: a bucket is told the time."""

from __future__ import annotations

from dataclasses import dataclass

from pygent_shared.errors import TooMany

# What may come at once is what ten seconds would bring.
BURST_SECONDS = 10.0
# So many buckets are kept, full ones too, before it is looked which are full.
MANY = 1000


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """So many tokens at a time. It fills up by itself."""

    tokens: float
    at: float

    def filled(self, now: float, per_minute: int) -> Bucket:
        """The bucket as it is by now."""
        # Clocks may stand still, but a bucket never loses by waiting.
        gained = max(now - self.at, 0.0) * per_minute / 60
        return Bucket(tokens=min(self.tokens + gained, burst(per_minute)), at=now)

    def taken(self) -> Bucket:
        return Bucket(tokens=self.tokens - 1, at=self.at)

    def wait(self, per_minute: int) -> float:
        """Seconds until there is a token; 0 where there is one."""
        return max(1 - self.tokens, 0.0) * 60 / per_minute


def burst(per_minute: int) -> float:
    """Most tokens a bucket holds."""
    return max(per_minute * BURST_SECONDS / 60, 1.0)


class Buckets:
    """One bucket for each name, full at first. Of many, those that are full again are forgotten."""

    def __init__(self, noun: str, per_minute: int, what: str = "requests") -> None:
        self._noun, self._what = noun, what
        self._per_minute = per_minute
        self._buckets: dict[str, Bucket] = {}
        self._many = MANY

    def check(self, name: str, now: float) -> None:
        """
        Raises:
            TooMany: the bucket is empty.
        """
        if not self._per_minute:
            return
        if name not in self._buckets and len(self._buckets) >= self._many:
            self._forget_full(now)
        bucket = self._buckets.get(name) or Bucket(tokens=burst(self._per_minute), at=now)
        bucket = self._buckets[name] = bucket.filled(now, self._per_minute)
        if wait := bucket.wait(self._per_minute):
            raise TooMany(f'{self._noun} "{name}"', f"{self._per_minute} {self._what} a minute", wait)

    def _forget_full(self, now: float) -> None:
        most = burst(self._per_minute)
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.filled(now, self._per_minute).tokens < most
        }
        self._many = max(MANY, 2 * len(self._buckets))

    def take(self, name: str) -> None:
        """Take a token, after `check`."""
        if self._per_minute:
            self._buckets[name] = self._buckets[name].taken()
