"""The newest pictures a client has received, and which of a chain's rows changed since any it looked at before."""

from __future__ import annotations

import msgspec
import numpy as np

from engine.core.quotes import Quote
from engine.core.views import ChainColumns, ChainKey, ChainView, DeskView
from engine.core.vocabulary import QuoteState
from engine.market.chain_changes import RowChanges
from engine.server import wire
from engine.server.protocol import TopicUpdate
from engine.server.topics import topic_subject


class ChainMirror:
    """One chain. Rows are compared on arrival by the rule of the engine's own chains.

    A row skipped over by conflation is found all the same: the comparison is with what arrived last.
    """

    def __init__(self) -> None:
        """Nothing has arrived."""
        self._view: ChainView | None = None
        self._changes = RowChanges(0)
        self._since = 0

    def take(self, view: ChainView | None) -> None:
        """Keep a new picture; ``None`` when the engine does not show the chain any more."""
        before, self._view = self._view, view
        if view is None:
            return
        if before is None or before.sequence > view.sequence or not _same_strikes(before, view):
            self._changes = RowChanges(view.strikes.size)
        self._changes.mark(self._changes.changed_rows(view.calls, view.puts), view.sequence)
        self._look(self._since)

    def lose(self) -> None:
        """Nothing more will come: every quote that was known is suspect from now on."""
        view = self._view
        if view is not None:
            self.take(
                msgspec.structs.replace(
                    view, sequence=view.sequence + 1, calls=_suspect(view.calls), puts=_suspect(view.puts)
                )
            )

    def view(self, since: int) -> ChainView | None:
        """The picture with the rows that changed after ``since``; the same object while nothing is different."""
        if self._view is not None and since != self._since:
            self._look(since)
        return self._view

    def _look(self, since: int) -> None:
        view = self._view
        if view is not None:
            self._view = msgspec.structs.replace(view, changed=self._changes.since(since, view.sequence))
        self._since = since


class Mirror:
    """Pictures by topic. Only topics that are expected are taken, and never an older one over a newer one."""

    def __init__(self) -> None:
        """Nothing is expected."""
        self._sequences: dict[str, int] = {}
        self.desk: DeskView | None = None
        self._chains: dict[ChainKey, ChainMirror] = {}
        self._quotes: dict[int, Quote | None] = {}

    def expect(self, topic: str) -> None:
        """Take values of ``topic`` from now on."""
        self._sequences.setdefault(topic, 0)

    def forget(self, topic: str) -> None:
        """Drop the picture of ``topic`` and take no more of it."""
        self._sequences.pop(topic, None)
        subject = topic_subject(topic)
        if isinstance(subject, ChainKey):
            self._chains.pop(subject, None)
        elif subject is not None:
            self._quotes.pop(subject, None)

    def chain(self, key: ChainKey, since: int) -> ChainView | None:
        """A chain's newest picture."""
        mirror = self._chains.get(key)
        return mirror.view(since) if mirror is not None else None

    def quote(self, token: int) -> Quote | None:
        """An instrument's newest picture."""
        return self._quotes.get(token)

    def lose(self, reason: str) -> None:
        """The link is gone: no price may look alive any more, and the desk says why."""
        for chain in self._chains.values():
            chain.lose()
        for token, quote in self._quotes.items():
            if quote is not None and quote.state is not QuoteState.UNKNOWN:
                self._quotes[token] = msgspec.structs.replace(quote, state=QuoteState.STALE)
        desk = self.desk
        if desk is None:
            return
        status = desk.status
        feed = msgspec.structs.replace(status.feed, state=QuoteState.STALE, age_s=None, message=reason)
        self.desk = msgspec.structs.replace(
            desk,
            revision=desk.revision + 1,
            status=msgspec.structs.replace(status, writer=False, feed=feed, degraded=(reason, *status.degraded)),
            strip=tuple(msgspec.structs.replace(item, state=QuoteState.STALE) for item in desk.strip),
        )

    def take(self, update: TopicUpdate) -> None:
        """Keep a value that arrived.

        Raises:
            msgspec.DecodeError: it is not what its topic should be.
        """
        newest = self._sequences.get(update.topic)
        if newest is None or update.sequence <= newest:
            return
        self._sequences[update.topic] = update.sequence
        subject = topic_subject(update.topic)
        if subject is None:
            self.desk = wire.decode(update.value, DeskView)
        elif isinstance(subject, ChainKey):
            view: ChainView | None = wire.decode_as(update.value, ChainView | None)
            self._chains.setdefault(subject, ChainMirror()).take(view)
        else:
            self._quotes[subject] = wire.decode_as(update.value, Quote | None)


def _suspect(side: ChainColumns) -> ChainColumns:
    states = np.where(side.state == QuoteState.UNKNOWN, side.state, np.uint8(QuoteState.STALE))
    states.flags.writeable = False
    return msgspec.structs.replace(side, state=states)


def _same_strikes(before: ChainView, now: ChainView) -> bool:
    return before.strikes.shape == now.strikes.shape and bool((before.strikes == now.strikes).all())
