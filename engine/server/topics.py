"""Topics: the names of what a client may follow. There is one spelling for each.

Pictures conflate, only their newest value matters: ``desk``, ``chain/UNDERLYING/YYYY-MM-DD``, ``quotes`` (with a list
of tokens), ``strategies``, ``positions``. Logs never leave anything out: ``orders``, ``events``.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from engine.core.errors import InvalidInput
from engine.core.views import ChainKey

TOPIC_LENGTH_MAX = 80
TOKEN_MAX = 2**32 - 1


class TopicKind(StrEnum):
    """What a topic is about; the word its name begins with."""

    DESK = "desk"
    CHAIN = "chain"
    QUOTES = "quotes"
    STRATEGIES = "strategies"
    POSITIONS = "positions"
    ORDERS = "orders"
    EVENTS = "events"

    @property
    def is_log(self) -> bool:
        """Whether every item is sent, in order."""
        return self in {TopicKind.ORDERS, TopicKind.EVENTS}


class Topic(NamedTuple):
    """A topic taken apart."""

    kind: TopicKind
    chain: ChainKey | None = None

    @property
    def name(self) -> str:
        """The topic's one spelling."""
        if self.chain is None:
            return self.kind.value
        return f"{self.kind.value}/{self.chain.underlying}/{self.chain.expiry.isoformat()}"


DESK = Topic(TopicKind.DESK)
QUOTES = Topic(TopicKind.QUOTES)
ORDERS = Topic(TopicKind.ORDERS)
EVENTS = Topic(TopicKind.EVENTS)


def chain_topic(key: ChainKey) -> Topic:
    """The topic of a chain."""
    return Topic(TopicKind.CHAIN, key)


def parse_topic(name: str) -> Topic:
    """Take a topic's name apart.

    Raises:
        InvalidInput: there is no such topic.
    """
    word, slash, rest = name.partition("/")
    topic: Topic | None = None
    if word == TopicKind.CHAIN:
        underlying, _, day = rest.rpartition("/")
        try:
            topic = chain_topic(ChainKey(underlying, date.fromisoformat(day)))
        except ValueError:
            raise _no_topic(name) from None
        if not underlying:
            raise _no_topic(name)
    elif not slash and word in set(TopicKind):
        topic = Topic(TopicKind(word))
    if topic is None or topic.name != name or len(name) > TOPIC_LENGTH_MAX:
        raise _no_topic(name)
    return topic


def _no_topic(name: str) -> InvalidInput:
    shown = name if len(name) <= TOPIC_LENGTH_MAX else name[:TOPIC_LENGTH_MAX] + "…"
    plain = ", ".join(kind.value for kind in TopicKind if kind is not TopicKind.CHAIN)
    return InvalidInput(
        f'There is no topic "{shown}"; there are {plain} and chain/UNDERLYING/YYYY-MM-DD.', field="topic"
    )
