"""What the consumers of market data want, counted, and what fits.

Each consumer (a screen's chain, the rules, a server session) either states its whole wish or counts its instruments in
and out; the union, each instrument at the greatest mode anyone wants, is the desired state that connections are brought
to. When there is more than fits, instruments wanted with greater priority go first, then those that are in already,
then earlier wishes; what was refused is listed, and comes in as soon as there is room.

While everything fits, a change costs as much as the change is large, however much is wanted altogether.

Invariants: never more than ``room`` instruments are desired; an instrument is desired only while a consumer wants it;
an instrument is either desired or refused, never both and never neither; an instrument that is in gives way only to one
of greater priority, or to less room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from engine.brokers.feed import FeedMode

KITE_CONNECTION_CAPACITY = 3000
"""Instruments that one Kite connection carries."""


class RefusedWish(NamedTuple):
    """What one consumer wants in vain."""

    consumer: str
    priority: int
    tokens: tuple[int, ...]


class Subscriptions:
    """Wishes of named consumers, and their sum.

    Args:
        capacity: Most instruments desired at once, whatever the connections could carry.
    """

    def __init__(self, *, capacity: int = KITE_CONNECTION_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a feed needs room for at least one instrument, the capacity is {capacity}")
        self._capacity = capacity
        self._room = capacity
        self._wishes: dict[str, dict[int, FeedMode]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._priorities: dict[str, int] = {}
        self._wanted_by: dict[int, dict[str, None]] = {}
        self._desired: dict[int, FeedMode] = {}
        self._refused: dict[int, FeedMode] = {}
        self._changed: dict[int, None] = {}
        self._version = 0

    @property
    def desired(self) -> Mapping[int, FeedMode]:
        """Token → mode that the connections should carry; a read-only view that follows every change."""
        return MappingProxyType(self._desired)

    @property
    def refused(self) -> Mapping[int, FeedMode]:
        """Token → mode of what did not fit; a read-only view that follows every change."""
        return MappingProxyType(self._refused)

    @property
    def room(self) -> int:
        """Most instruments desired at once, now."""
        return self._room

    @property
    def version(self) -> int:
        """Grows with each change of ``desired`` or ``refused``."""
        return self._version

    # -- asking ----------------------------------------------------------------------------------------------------

    def consumers_of(self, token: int) -> tuple[str, ...]:
        """Who wants an instrument."""
        return tuple(self._wanted_by.get(token, ()))

    def priority_of(self, token: int) -> int:
        """The greatest priority with which an instrument is wanted.

        Raises:
            KeyError: nobody wants it.
        """
        return max(self._priorities[consumer] for consumer in self._wanted_by[token])

    def consumers(self) -> tuple[tuple[str, int], ...]:
        """Each consumer and how many instruments it wants, greatest priority first."""
        return tuple((consumer, len(self._wishes[consumer])) for consumer in self._ranked())

    def refused_wishes(self) -> tuple[RefusedWish, ...]:
        """Who wants what in vain, greatest priority first; an instrument stands with everybody who wants it."""
        if not self._refused:
            return ()
        return tuple(
            RefusedWish(consumer, self._priorities[consumer], tokens)
            for consumer in self._ranked()
            if (tokens := tuple(token for token in self._wishes[consumer] if token in self._refused))
        )

    def take_changed(self) -> tuple[int, ...]:
        """Tokens that ``desired`` gained, lost or changed since this was last asked, for who keeps the connections."""
        changed = tuple(self._changed)
        self._changed.clear()
        return changed

    # -- wishing ---------------------------------------------------------------------------------------------------

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
        self._counts.pop(consumer, None)
        self._state(consumer, dict(wish), priority)
        return tuple(token for token in wish if token in self._refused) if self._refused else ()

    def add(
        self, consumer: str, tokens: Iterable[int], mode: FeedMode = FeedMode.FULL, *, priority: int = 0
    ) -> tuple[int, ...]:
        """Count each token once more for a consumer; returns those that were refused for lack of room.

        Mode and priority are the consumer's from now on. What it wanted without counting counts as one.
        """
        wish = dict.fromkeys(self._wishes.get(consumer, ()), mode)
        counts = self._counts.setdefault(consumer, dict.fromkeys(wish, 1))
        asked = tuple(tokens)
        for token in asked:
            counts[token] = counts.get(token, 0) + 1
            wish[token] = mode
        self._state(consumer, wish, priority)
        return tuple(token for token in asked if token in self._refused) if self._refused else ()

    def release(self, consumer: str, tokens: Iterable[int]) -> None:
        """Count each token once less; at none it is no longer wanted. What is not counted in is passed over."""
        wish = dict(self._wishes.get(consumer, {}))
        counts = self._counts.setdefault(consumer, dict.fromkeys(wish, 1))
        for token in tokens:
            left = counts.get(token, 0) - 1
            if left > 0:
                counts[token] = left
            else:
                counts.pop(token, None)
                wish.pop(token, None)
        if wish:
            self._state(consumer, wish, self._priorities[consumer])
        else:
            self.drop(consumer)

    def drop(self, consumer: str) -> None:
        """Forget a consumer; unknown names are no error, so that leaving twice does no harm."""
        self._counts.pop(consumer, None)
        wish = self._wishes.pop(consumer, None)
        if wish is not None:
            del self._priorities[consumer]
            self._settle(wish, consumer)

    def set_room(self, room: int) -> None:
        """Say how many instruments the connections carry now; never more than the capacity are desired."""
        room = max(1, min(room, self._capacity))
        if room != self._room:
            self._room = room
            if self._refused or len(self._desired) > room:
                self._choose(self._union())

    # -- settling --------------------------------------------------------------------------------------------------

    def _ranked(self) -> list[str]:
        return sorted(self._wishes, key=lambda consumer: -self._priorities[consumer])

    def _state(self, consumer: str, wish: dict[int, FeedMode], priority: int) -> None:
        """Replace a wish, and settle what that touches."""
        before = self._wishes.get(consumer, {})
        same_rank = self._priorities.get(consumer) == priority
        self._wishes[consumer] = wish
        self._priorities[consumer] = priority
        touched = before.keys() | wish.keys()
        if same_rank:
            touched = {token for token in touched if before.get(token) is not wish.get(token)}
        # A set has no order of its own: what comes in, comes in the order of the wish.
        self._settle([token for token in {**wish, **before} if token in touched], consumer)

    def _settle(self, touched: Iterable[int], consumer: str) -> None:
        """Bring ``desired`` and ``refused`` to the wishes, after one consumer's wish for ``touched`` has changed."""
        wish = self._wishes.get(consumer, {})
        modes: dict[int, FeedMode | None] = {}
        for token in touched:
            wanting = self._wanted_by.setdefault(token, {})
            if token in wish:
                wanting[consumer] = None
            else:
                wanting.pop(consumer, None)
            if not wanting:
                del self._wanted_by[token]
            modes[token] = max((self._wishes[name][token] for name in wanting), default=None)
        if self._refused or len(self._wanted_by) > self._room:
            self._choose(self._union())
            return
        before = self._version
        for token, mode in modes.items():
            if mode is None:
                changes = self._desired.pop(token, None) is not None
            else:
                changes = self._desired.get(token) is not mode
                self._desired[token] = mode
            if changes:
                self._changed[token] = None
                self._version = before + 1

    def _union(self) -> dict[int, tuple[int, FeedMode]]:
        """Every wanted token with its greatest priority and mode, greatest priority first, then earlier wishes."""
        union: dict[int, tuple[int, FeedMode]] = {}
        for consumer in self._ranked():
            priority = self._priorities[consumer]
            for token, mode in self._wishes[consumer].items():
                known = union.get(token)
                union[token] = (priority, mode) if known is None else (known[0], max(mode, known[1]))
        return union

    def _choose(self, union: Mapping[int, tuple[int, FeedMode]]) -> None:
        """Fill the room: greatest priority first, then what is in already, then earlier wishes."""
        was = self._desired
        ranked = sorted(union, key=lambda token: (-union[token][0], token not in was))
        desired = {token: union[token][1] for token in ranked[: self._room]}
        refused = {token: union[token][1] for token in ranked[self._room :]}
        if desired == was and refused == self._refused:
            return
        for token in {**desired, **was}:
            if was.get(token) is not desired.get(token):
                self._changed[token] = None
        # The views that were given out follow.
        self._desired.clear()
        self._desired.update(desired)
        self._refused.clear()
        self._refused.update(refused)
        self._version += 1
