"""Topics: the pictures a client may follow. A topic's value is encoded once per change, whoever listens.

``desk``, ``chain/UNDERLYING/YYYY-MM-DD`` and ``quote/TOKEN``. Only the newest value matters: a slow reader skips. So a
chain goes out without its ``changed`` rows, which are relative to what a reader saw last: the reader compares.
"""

from __future__ import annotations

import itertools
from datetime import date

import msgspec
import numpy as np

from engine.client import EngineClient
from engine.core.errors import InvalidInput
from engine.core.views import ChainKey
from engine.server import protocol, wire

DESK = "desk"
CHAIN_PREFIX = "chain/"
QUOTE_PREFIX = "quote/"
TOKEN_MAX = 2**32 - 1
TOKEN_DIGITS_MAX = 10
TOPIC_LENGTH_MAX = 80
NOTHING = b"null"


def chain_topic(key: ChainKey) -> str:
    """The topic of a chain."""
    return f"{CHAIN_PREFIX}{key.underlying}/{key.expiry.isoformat()}"


def quote_topic(token: int) -> str:
    """The topic of an instrument."""
    return f"{QUOTE_PREFIX}{token}"


def topic_subject(topic: str) -> ChainKey | int | None:
    """What a topic shows: a chain, an instrument's token, or ``None`` for the desk.

    Raises:
        InvalidInput: no such topic. There is one spelling for each.
    """
    subject: ChainKey | int | None = None
    if topic.startswith(CHAIN_PREFIX):
        underlying, _, day = topic.removeprefix(CHAIN_PREFIX).rpartition("/")
        try:
            subject = ChainKey(underlying, date.fromisoformat(day))
        except ValueError:
            raise _no_topic(topic) from None
        canonical = chain_topic(subject) if underlying else ""
    elif topic.startswith(QUOTE_PREFIX):
        digits = topic.removeprefix(QUOTE_PREFIX)
        if not (digits.isascii() and digits.isdigit() and len(digits) <= TOKEN_DIGITS_MAX):
            raise _no_topic(topic)
        subject = int(digits)
        canonical = quote_topic(subject) if subject <= TOKEN_MAX else ""
    else:
        canonical = DESK
    if canonical != topic or len(topic) > TOPIC_LENGTH_MAX:
        raise _no_topic(topic)
    return subject


def _no_topic(topic: str) -> InvalidInput:
    shown = topic if len(topic) <= TOPIC_LENGTH_MAX else topic[:TOPIC_LENGTH_MAX] + "…"
    return InvalidInput(
        f'There is no topic "{shown}"; there are desk, chain/UNDERLYING/YYYY-MM-DD and quote/TOKEN.', field="topic"
    )


class TopicValue(msgspec.Struct, frozen=True):
    """An encoded ``TopicUpdate`` with its sequence; a new sequence means it changed."""

    sequence: int
    """Grows over all topics of a source and is never given twice."""
    update: bytes


class _Encoded(msgspec.Struct, frozen=True):
    value: TopicValue
    mark: int | bytes | None
    """What tells the next value from this one: the desk's revision, the chain's sequence, the quote's bytes."""


class TopicSource:
    """Encodes topic values for all sessions of one engine, at most once per change.

    Bounded by what is followed: the value of a topic that nobody follows any more is forgotten.
    """

    def __init__(self, engine: EngineClient) -> None:
        """Values are read from ``engine``."""
        self._engine = engine
        self._encoded: dict[str, _Encoded] = {}
        self._followers: dict[str, int] = {}
        self._sequences = itertools.count(1)
        self._no_rows = np.empty(0, dtype=np.intp)

    @property
    def followed(self) -> frozenset[str]:
        """Topics that somebody follows."""
        return frozenset(self._followers)

    async def follow(self, topic: str) -> None:
        """Count one more follower, and let the engine watch what the topic shows.

        Raises:
            InvalidInput: no such topic.
            WorkstationError: the engine refuses to watch it.
        """
        subject = topic_subject(topic)
        if isinstance(subject, ChainKey):
            await self._engine.watch_chain(subject)
        elif subject is not None:
            await self._engine.watch([subject])
        self._followers[topic] = self._followers.get(topic, 0) + 1

    async def unfollow(self, topic: str) -> None:
        """Undo one ``follow``."""
        self._followers[topic] -= 1
        if not self._followers[topic]:
            del self._followers[topic]
            self._encoded.pop(topic, None)
        subject = topic_subject(topic)
        if isinstance(subject, ChainKey):
            await self._engine.unwatch_chain(subject)
        elif subject is not None:
            await self._engine.unwatch([subject])

    def value(self, topic: str) -> TopicValue | None:
        """The value of a followed topic now; ``None`` while there has been nothing to show.

        What was there and is not any more is sent as null: an old price must not stay on a screen as if it lived.

        Raises:
            WorkstationError: the engine cannot show it.
        """
        known = self._encoded.get(topic)
        mark, data = self._look(topic, known.mark if known is not None else None)
        if data is None:
            return known.value if known is not None else None
        if data == NOTHING and known is None:
            return None
        sequence = next(self._sequences)
        fresh = TopicValue(sequence, protocol.topic_update(topic, sequence, data))
        self._encoded[topic] = _Encoded(fresh, mark)
        return fresh

    def _look(self, topic: str, known: int | bytes | None) -> tuple[int | bytes | None, bytes | None]:
        """The mark and the bytes of a topic; no bytes when the mark is still ``known``."""
        subject = topic_subject(topic)
        if subject is None:
            desk = self._engine.desk()
            return desk.revision, None if desk.revision == known else wire.encode(desk)
        if isinstance(subject, ChainKey):
            view = self._engine.chain(subject)
            if view is None:
                return NOTHING, None if known == NOTHING else NOTHING
            if view.sequence == known:
                return known, None
            return view.sequence, wire.encode(msgspec.structs.replace(view, changed=self._no_rows))
        data = wire.encode(self._engine.quote(subject))
        return data, None if data == known else data
