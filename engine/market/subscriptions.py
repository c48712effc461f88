"""What the consumers of market data want, counted, and what fits.

Each consumer (a screen's chain, the rules, a server session) states its whole wish; the union, each instrument at the
greatest mode anyone wants, is the desired state that connections are brought to. When there is more than fits,
consumers of higher priority go first, then earlier wishes; what was refused is listed, and comes in as soon as there
is room.

Invariants: never more than ``capacity`` instruments are desired; an instrument is desired only while a consumer wants
it; an instrument is either desired or refused, never both and never neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from engine.brokers.feed import FeedMode

KITE_CONNECTION_CAPACITY = 3000
"""Instruments that one Kite connection carries."""


class Subscriptions:
    """Wishes of named consumers, and their sum.

    Args:
        capacity: Most instruments desired at once: connections × what each carries.
    """

    def __init__(self, *, capacity: int = KITE_CONNECTION_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a feed needs room for at least one instrument, the capacity is {capacity}")
        self._capacity = capacity
        self._wishes: dict[str, dict[int, FeedMode]] = {}
        self._priorities: dict[str, int] = {}
        self._desired: dict[int, FeedMode] = {}
        self._refused: dict[int, FeedMode] = {}
        self._version = 0

    @property
    def desired(self) -> Mapping[int, FeedMode]:
        """Token → mode that the connections should carry; a read-only view of the present state."""
        return MappingProxyType(self._desired)

    @property
    def refused(self) -> Mapping[int, FeedMode]:
        """Token → mode of what did not fit."""
        return MappingProxyType(self._refused)

    @property
    def version(self) -> int:
        """Grows with each change of ``desired`` or ``refused``."""
        return self._version

    def consumers_of(self, token: int) -> tuple[str, ...]:
        """Who wants an instrument."""
        return tuple(consumer for consumer, wish in self._wishes.items() if token in wish)

    def want(
        self, consumer: str, tokens: Iterable[int], mode: FeedMode = FeedMode.FULL, *, priority: int = 0
    ) -> tuple[int, ...]:
        """Replace the whole wish of a consumer; returns those of its tokens that were refused for lack of room.

        Args:
            consumer: Name of the consumer.
            tokens: Instrument tokens.
            mode: How much is wanted of each.
            priority: Greater goes first when room is short.
        """
        return self.want_modes(consumer, dict.fromkeys(tokens, mode), priority=priority)

    def want_modes(self, consumer: str, wish: Mapping[int, FeedMode], *, priority: int = 0) -> tuple[int, ...]:
        """As ``want``, with a mode for each token."""
        self._wishes[consumer] = dict(wish)
        self._priorities[consumer] = priority
        self._settle()
        return tuple(token for token in wish if token in self._refused)

    def drop(self, consumer: str) -> None:
        """Forget a consumer; unknown names are no error, so that leaving twice does no harm."""
        if self._wishes.pop(consumer, None) is not None:
            del self._priorities[consumer]
            self._settle()

    def _settle(self) -> None:
        """Compute what is desired and what is refused from all wishes."""
        ranked = sorted(self._wishes, key=lambda consumer: -self._priorities[consumer])
        union: dict[int, FeedMode] = {}
        for consumer in ranked:
            for token, mode in self._wishes[consumer].items():
                union[token] = max(mode, union.get(token, mode))
        tokens = list(union)
        desired = {token: union[token] for token in tokens[: self._capacity]}
        refused = {token: union[token] for token in tokens[self._capacity :]}
        if desired != self._desired or refused != self._refused:
            self._desired, self._refused = desired, refused
            self._version += 1
