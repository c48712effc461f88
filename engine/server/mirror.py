"""The newest pictures and logs that a client has received, rebuilt from snapshots and what came after them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, get_type_hints

import msgspec
import numpy as np

from engine.core.errors import EngineGone
from engine.core.events import EngineEvent
from engine.core.orders import OrderRecord
from engine.core.quotes import Quote
from engine.core.views import ChainKey, ChainView, DeskView, EventChanges, Integers, OrderChanges, StatusView
from engine.core.vocabulary import QuoteState
from engine.order_log import Bell
from engine.server import wire
from engine.server.chain_rows import ChainMirror
from engine.server.protocol import BESIDE, TopicUpdate
from engine.server.topics import TopicKind, parse_topic

REVISION: Final = "revision"
_DESK_TYPES: Final = {name: hint for name, hint in get_type_hints(DeskView).items() if name != REVISION}
LOG_KEPT_MAX: Final = 4096
"""Items of a log kept for those who read it here; one that is further behind gets a snapshot."""


class Mirror:
    """Pictures by topic. Only topics that are expected are taken, and only what continues what is here.

    Args:
        monotonic: This machine's clock; quotes grow old here too.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._sequences: dict[str, int] = {}
        self.desk: DeskView | None = None
        self._desk_parts: dict[str, Any] = {}
        self._revision = 0
        self._chains: dict[ChainKey, ChainMirror] = {}
        self._quotes: dict[int, tuple[Quote | None, float]] = {}
        self._quote_marks: dict[int, int] = {}
        self._marks = itertools.count(1)
        self.orders = OrderMirror()
        self.events = EventMirror()

    def expect(self, topic: str) -> None:
        """Take updates of ``topic`` from now on."""
        self._sequences.setdefault(topic, 0)

    def forget(self, topic: str) -> None:
        """Drop the picture of ``topic`` and take no more of it."""
        self._sequences.pop(topic, None)
        parsed = parse_topic(topic)
        if parsed.chain is not None:
            self._chains.pop(parsed.chain, None)

    def forget_quote(self, token: int) -> None:
        """Drop the picture of an instrument."""
        self._quotes.pop(token, None)
        self._quote_marks.pop(token, None)

    def chain(self, key: ChainKey, since: int) -> ChainView | None:
        """A chain's newest picture."""
        mirror = self._chains.get(key)
        return mirror.view(since) if mirror is not None else None

    def quote(self, token: int) -> Quote | None:
        """An instrument's newest picture, as old as it is by now."""
        quote, arrived = self._quotes.get(token, (None, 0.0))
        if quote is None or quote.age_s is None:
            return quote
        return msgspec.structs.replace(quote, age_s=quote.age_s + max(0.0, self._monotonic() - arrived))

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        return np.array([self._quote_marks.get(token, 0) for token in tokens], dtype=np.int64)

    def lose(self, reason: str) -> None:
        """The link is down: no price may look alive any more, and the desk says why."""
        for chain in self._chains.values():
            chain.suspect(QuoteState.STALE, QuoteState.UNKNOWN)
        for token, (quote, arrived) in self._quotes.items():
            if quote is not None and quote.state is not QuoteState.UNKNOWN:
                self._quotes[token] = (msgspec.structs.replace(quote, state=QuoteState.STALE), arrived)
                self._quote_marks[token] = next(self._marks)
        desk = self.desk
        if desk is None:
            return
        status: StatusView = self._desk_parts["status"]
        feed = msgspec.structs.replace(status.feed, state=QuoteState.STALE, age_s=None, message=reason)
        self._revision += 1
        self.desk = msgspec.structs.replace(
            desk,
            revision=self._revision,
            status=msgspec.structs.replace(status, writer=False, feed=feed, degraded=(reason, *status.degraded)),
            strip=tuple(msgspec.structs.replace(item, state=QuoteState.STALE) for item in desk.strip),
        )

    def take(self, update: TopicUpdate) -> bool:
        """Keep an update that arrived; ``False`` when something before it is missing and a snapshot is needed.

        Raises:
            msgspec.DecodeError: it is not what its topic should be.
        """
        have = self._sequences.get(update.topic)
        if have is None:
            return True
        if update.sequence != BESIDE:
            if update.base not in {0, have}:
                return False
            self._sequences[update.topic] = update.sequence
        topic = parse_topic(update.topic)
        match topic.kind:
            case TopicKind.DESK:
                self._take_desk(update)
            case TopicKind.QUOTES:
                self._take_quotes(update)
            case TopicKind.ORDERS:
                self.orders.take(update)
            case TopicKind.EVENTS:
                self.events.take(update)
            case TopicKind.CHAIN if topic.chain is not None:
                mirror = self._chains.setdefault(topic.chain, ChainMirror(topic.chain, self._monotonic))
                mirror.take(is_snapshot=not update.base, parts=update.parts)
        return True

    def _take_desk(self, update: TopicUpdate) -> None:
        if not update.base:
            self._desk_parts.clear()
        for name, raw in update.parts.items():
            hint = _DESK_TYPES.get(name)
            if hint is not None:
                self._desk_parts[name] = wire.decode_as(raw, hint)
        self._revision += 1
        try:
            self.desk = DeskView(revision=self._revision, **self._desk_parts)
        except TypeError as error:
            raise msgspec.ValidationError(f"a desk without some of its parts: {error}") from error

    def _take_quotes(self, update: TopicUpdate) -> None:
        now = self._monotonic()
        if not update.base:
            self._quotes.clear()
            self._quote_marks.clear()
        for name, raw in update.parts.items():
            self._quotes[int(name)] = (wire.decode_as(raw, Quote | None), now)
            self._quote_marks[int(name)] = next(self._marks)


class _LogMirror:
    """A log as it arrived, numbered here: a new start of the engine does not begin these numbers anew."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._sequence = 1
        self._over = ""

    def end(self, reason: str) -> None:
        """Nothing will come any more; whoever waits is told why."""
        self._over = reason
        self._bell.ring()

    async def _news(self, after: int | None) -> int:
        """Wait until there is something after ``after``; how many items, or 0 for a snapshot."""
        while after is not None and after == self._sequence:
            if self._over:
                raise EngineGone(self._over)
            await self._bell.heard()
        return self._sequence - after if after is not None else 0


class OrderMirror(_LogMirror):
    """The orders of the engine, and their changes."""

    def __init__(self) -> None:
        """Nothing has arrived."""
        super().__init__()
        self._orders: dict[int, OrderRecord] = {}
        self._changes: deque[OrderRecord] = deque(maxlen=LOG_KEPT_MAX)

    def take(self, update: TopicUpdate) -> None:
        """Keep what arrived."""
        records = [wire.decode(raw, OrderRecord) for raw in update.items]
        if update.base:
            self._changes.extend(records)
            self._sequence += len(records)
        else:
            self._orders.clear()
            self._changes.clear()
            self._sequence += 1
        self._orders.update({record.number: record for record in records})
        self._bell.ring()

    async def next(self, after: int | None) -> OrderChanges:
        """See ``EngineClient.next_orders``."""
        missing = await self._news(after)
        if after is None or not 0 < missing <= len(self._changes):
            orders = tuple(self._orders[number] for number in sorted(self._orders))
            return OrderChanges(sequence=self._sequence, base=0, orders=orders)
        return OrderChanges(sequence=self._sequence, base=after, orders=tuple(self._changes)[-missing:])


class EventMirror(_LogMirror):
    """The events of the engine."""

    def __init__(self) -> None:
        """Nothing has arrived."""
        super().__init__()
        self._events: deque[EngineEvent] = deque(maxlen=LOG_KEPT_MAX)
        self._fresh = 0

    def take(self, update: TopicUpdate) -> None:
        """Keep what arrived."""
        events = [wire.decode(raw, EngineEvent) for raw in update.items]
        if update.base:
            self._sequence += len(events)
            self._fresh = min(self._fresh + len(events), LOG_KEPT_MAX)
        else:
            self._events.clear()
            self._fresh = 0
            self._sequence += 1
        self._events.extend(events)
        self._bell.ring()

    async def next(self, after: int | None) -> EventChanges:
        """See ``EngineClient.next_events``."""
        missing = await self._news(after)
        if after is None or not 0 < missing <= self._fresh:
            return EventChanges(sequence=self._sequence, base=0, events=tuple(self._events))
        return EventChanges(sequence=self._sequence, base=after, events=tuple(self._events)[-missing:])
