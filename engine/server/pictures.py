"""The pictures of one engine, shared by all its clients: looked at only while somebody follows, encoded once a change.

Bounded by what is followed: what nobody follows any more is forgotten. Looks at one picture are at least ``look_s``
apart, whoever asks.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np

from engine.client import EngineClient
from engine.core.positions import BrokerPosition
from engine.core.quotes import Quote
from engine.core.views import DeskView, Integers
from engine.server import chain_rows, protocol, wire
from engine.server.parts import Parts
from engine.server.topics import QUOTES, Topic, TopicKind

AGES_S: Final = 1.0
"""The ages of a chain's quotes are sent at most so often."""
REVISION: Final = "revision"
SHARED_MESSAGES_MAX: Final = 64
"""Messages about quotes kept for clients that follow the same instruments, and lists of what changed for those that do
not; beyond it they are made anew."""
_NO_PARTS: Final = b"{}}"
"""How an update without parts ends."""


class Pictures:
    """All pictures that somebody follows."""

    def __init__(self, engine: EngineClient, *, monotonic: Callable[[], float], look_s: float) -> None:
        """Look at ``engine``; ``monotonic`` is its machine's clock."""
        self._engine = engine
        self._monotonic = monotonic
        self._look_s = look_s
        self._parts: dict[Topic, Parts] = {}
        self._followers: Counter[Topic] = Counter()
        self._looked_at: dict[Topic, float] = {}
        self._ages_at: dict[Topic, float] = {}
        self._seen: dict[Topic, int] = {}
        self._sequences = itertools.count(1)
        self.quotes = QuotePictures(engine, self._sequences)

    @property
    def followed(self) -> frozenset[Topic]:
        """Topics that somebody follows."""
        return frozenset(self._followers)

    async def follow(self, topic: Topic) -> None:
        """Count one more follower, and let the engine watch what the topic shows.

        Raises:
            WorkstationError: the engine refuses to watch it.
        """
        if topic.chain is not None:
            await self._engine.watch_chain(topic.chain)
        self._followers[topic] += 1
        self._parts.setdefault(topic, Parts(topic.name))

    async def unfollow(self, topic: Topic) -> None:
        """Undo one ``follow``."""
        self._followers[topic] -= 1
        if not self._followers[topic]:
            del self._followers[topic], self._parts[topic]
            for moments in (self._looked_at, self._ages_at):
                moments.pop(topic, None)
            self._seen.pop(topic, None)
        if topic.chain is not None:
            await self._engine.unwatch_chain(topic.chain)

    def message(self, topic: Topic, base: int) -> tuple[int, bytes] | None:
        """The newest sequence of a followed picture and what a reader at ``base`` lacks; ``None`` for nothing.

        Raises:
            WorkstationError: the engine cannot show it.
        """
        parts = self._parts[topic]
        now = self._monotonic()
        if now - self._looked_at.get(topic, -np.inf) >= self._look_s:
            self._look(topic, parts, now)
            self._looked_at[topic] = now
        if not parts.sequence:
            return None
        data = parts.message(base)
        return None if data is None else (parts.sequence, data)

    def look_at_quotes(self) -> None:
        """Read the quotes that are followed, unless they were read a moment ago."""
        now = self._monotonic()
        if now - self._looked_at.get(QUOTES, -np.inf) >= self._look_s:
            self.quotes.look()
            self._looked_at[QUOTES] = now

    def _look(self, topic: Topic, parts: Parts, now: float) -> None:
        if topic.chain is not None:
            self._look_at_chain(topic, parts, now)
            return
        desk = self._engine.desk()
        if desk.revision == self._seen.get(topic):
            return
        sequence = next(self._sequences)
        match topic.kind:
            case TopicKind.STRATEGIES:
                rows = {str(value.strategy.number): wire.encode(value) for value in desk.strategies}
                parts.replace(rows, sequence)
            case TopicKind.POSITIONS:
                if desk.positions is None:
                    parts.clear(sequence)
                else:
                    several = len(desk.status.accounts) > 1
                    parts.replace({_position_name(row, several): wire.encode(row) for row in desk.positions}, sequence)
            case _:
                parts.put(_desk_parts(desk), sequence)
        self._seen[topic] = desk.revision

    def _look_at_chain(self, topic: Topic, parts: Parts, now: float) -> None:
        if topic.chain is None:
            return
        seen = self._seen.get(topic, 0)
        view = self._engine.chain(topic.chain, seen)
        if view is None:
            parts.clear(next(self._sequences))
            self._seen.pop(topic, None)
            return
        if view.sequence == seen:
            return
        changes = chain_rows.frame_parts(view) | chain_rows.row_parts(view, view.changed)
        if now - self._ages_at.get(topic, -np.inf) >= AGES_S or not seen:
            changes |= chain_rows.ages_part(view)
            self._ages_at[topic] = now
        parts.put(changes, next(self._sequences))
        self._seen[topic] = view.sequence


def _position_name(row: BrokerPosition, several: bool) -> str:
    """The name of a position among all; with several accounts it begins with whose it is."""
    name = f"{row.instrument}/{row.product}"
    return f"{row.account}/{name}" if several else name


def _desk_parts(desk: DeskView) -> dict[str, bytes]:
    """The sections of the desk; its revision is counted anew by whoever mirrors it."""
    # Shared by all who look: each finds its own seat among those of the status.
    desk = msgspec.structs.replace(desk, status=desk.status.seen_from(""))
    names = (field.name for field in msgspec.structs.fields(DeskView) if field.name != REVISION)
    return {name: wire.encode(getattr(desk, name)) for name in names}


class _Known(msgspec.Struct):
    """The newest quote of an instrument that somebody follows."""

    followers: int = 0
    sequence: int = 0
    quote: Quote | None = None
    """Without its age, which always moves."""
    part: bytes = b""
    """Its name and its JSON, as they stand in a message."""


class QuotePictures:
    """Quotes by token. Each is encoded once per change, whichever clients follow it."""

    def __init__(self, engine: EngineClient, sequences: Iterable[int]) -> None:
        """Look at ``engine``."""
        self._engine = engine
        self._sequences = iter(sequences)
        self._known: dict[int, _Known] = {}
        self._messages: dict[tuple[frozenset[int], int], bytes] = {}
        self._asked: tuple[int, ...] | None = None
        """All followed instruments, in the order of their marks."""
        self._marks: Integers | None = None
        self._changes: dict[int, list[tuple[int, bytes]]] = {}
        """By the sequence that a reader stopped at: what changed since, whoever follows it."""
        self.sequence = 0
        """Of the last change of any."""

    @property
    def tokens(self) -> frozenset[int]:
        """Instruments that somebody follows."""
        return frozenset(self._known)

    async def follow(self, tokens: Sequence[int]) -> None:
        """Count one more follower of each.

        Raises:
            UnknownInstrument: no instrument of today has one of these tokens; none is followed.
        """
        await self._engine.watch(tokens)
        self._asked = None
        for token in tokens:
            self._known.setdefault(token, _Known()).followers += 1
        self.look(tokens)

    async def unfollow(self, tokens: Sequence[int]) -> None:
        """Undo one ``follow`` of each."""
        self._asked = None
        for token in tokens:
            known = self._known[token]
            known.followers -= 1
            if not known.followers:
                del self._known[token]
        await self._engine.unwatch(tokens)

    def look(self, tokens: Iterable[int] | None = None) -> None:
        """Read quotes that are followed, all by default, and encode those that changed."""
        sequence = 0
        for token in self._marked_anew() if tokens is None else tokens:
            known = self._known[token]
            quote = self._engine.quote(token)
            ageless = None if quote is None else msgspec.structs.replace(quote, age_s=None)
            if known.sequence and ageless == known.quote:
                continue
            sequence = sequence or next(self._sequences)
            known.quote, known.sequence = ageless, sequence
            known.part = b'"%d":%b' % (token, wire.encode(quote))
        if sequence:
            self.sequence = sequence
            self._messages.clear()
            self._changes.clear()

    def _marked_anew(self) -> list[int]:
        """Followed instruments whose mark at the engine is another one than at the last look."""
        if self._asked is None or len(self._asked) != len(self._known):
            self._asked, self._marks = tuple(self._known), None
        marks = self._engine.quote_marks(self._asked)
        before, self._marks = self._marks, marks
        if before is None:
            return list(self._asked)
        return [self._asked[place] for place in np.flatnonzero(marks != before).tolist()]

    def snapshot(self, tokens: Iterable[int], sequence: int) -> bytes:
        """A message with these quotes as they are: everything that a reader has."""
        return _update(sequence, 0, [self._known[token].part for token in tokens])

    def beside(self, tokens: Iterable[int]) -> bytes:
        """A message with these quotes as they are, beside the sequence: for a reader that goes on with others."""
        return _update(protocol.BESIDE, protocol.BESIDE, [self._known[token].part for token in tokens])

    def message(self, tokens: frozenset[int], base: int) -> bytes | None:
        """What a reader of these at ``base`` lacks; ``None`` for nothing."""
        if base == self.sequence:
            return None
        known = self._messages.get((tokens, base))
        if known is None:
            parts = [part for token, part in self._changed_since(base) if token in tokens]
            known = _update(self.sequence, base, parts) if parts else b""
            if len(self._messages) < SHARED_MESSAGES_MAX:
                self._messages[tokens, base] = known
        return known or None

    def _changed_since(self, base: int) -> list[tuple[int, bytes]]:
        """The parts that changed after ``base``, of all that somebody follows."""
        changes = self._changes.get(base)
        if changes is None:
            changes = [(token, known.part) for token, known in self._known.items() if known.sequence > base]
            if len(self._changes) < SHARED_MESSAGES_MAX:
                self._changes[base] = changes
        return changes


def _update(sequence: int, base: int, parts: Sequence[bytes]) -> bytes:
    """A ``TopicUpdate`` around parts that have their names already: for each client they are only joined."""
    empty = protocol.picture_update(QUOTES.name, sequence, base, (), ())
    return b"%b{%b}}" % (empty.removesuffix(_NO_PARTS), b",".join(parts))
