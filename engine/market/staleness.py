"""How far each quote may be trusted, judged for whole columns.

STALE is about the *path*: the connection that brought the quote is silent beyond the limit, is gone, was replaced, or
is no longer the one that is to bring this instrument, and nothing about it has come the right way since. An old price
on a live path is LIVE, with its age.

CLOSED is about the instrument's own session: that of its segment, or the end of its contract, which on the expiry day
comes before the end of the session. FROZEN is what the exchange does not move although others of the day still trade.

Invariant: the first of these that holds is the state: UNKNOWN (nothing received), CLOSED, STALE, FROZEN, CROSSED,
ONE_SIDED, LIVE. Only a packet that carries a book is CROSSED or ONE_SIDED.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.packets import ASKS, BIDS, SEGMENT_MASK, PacketKind
from engine.core.views import Integers
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import ANY_CONNECTION, QuotesBoard
from engine.market.token_map import Slots, Tokens

States = npt.NDArray[np.uint8]

STATES_MAX = 16
"""More than there are quote states."""

_LIFE_BITS = 32
"""A path is a connection's number in the high half and its life (how often it was made) in the low half."""
_SEGMENTS = 256
_NS_PER_S = 1e9


def connections_of_paths(paths: Integers) -> Integers:
    """The number of the connection that each path belongs to."""
    return paths >> _LIFE_BITS


class FeedHealth:
    """What is known of the connections of a feed. Connections are numbered from 0.

    Args:
        connections: How many there may be.
    """

    def __init__(self, connections: int = 1) -> None:
        self._life = np.zeros(connections, np.int64)
        self._up = np.zeros(connections, np.bool_)
        self._heard_ns = np.zeros(connections, np.int64)

    def connected(self, connection: int, at_ns: int) -> None:
        """A new connection is up: everything it brought in its earlier lives is suspect until heard of again."""
        self._life[connection] += 1
        self._up[connection] = True
        self._heard_ns[connection] = at_ns

    def disconnected(self, connection: int) -> None:
        """It is gone: everything it brought is suspect now."""
        self._up[connection] = False

    def heard(self, connection: int, at_ns: int) -> None:
        """A byte came, a heartbeat too."""
        self._heard_ns[connection] = at_ns

    def path(self, connection: int) -> int:
        """What the board keeps beside each packet: the connection and its life."""
        return connection << _LIFE_BITS | int(self._life[connection])

    def is_up(self, connection: int) -> bool:
        """Whether it is connected."""
        return bool(self._up[connection])

    def silence_s(self, connection: int, now_ns: int) -> float | None:
        """Seconds since its last byte; ``None`` when it is not connected."""
        if not self._up[connection]:
            return None
        return max(0, now_ns - int(self._heard_ns[connection])) / _NS_PER_S

    def is_suspect(self, path: int, now_ns: int, silence_limit_ns: int) -> bool:
        """Whether one path cannot be trusted now."""
        connection = path >> _LIFE_BITS
        if not self._up.item(connection) or now_ns - self._heard_ns.item(connection) > silence_limit_ns:
            return True
        return path & ((1 << _LIFE_BITS) - 1) != self._life.item(connection)

    def suspect(self, paths: npt.NDArray[np.int64], now_ns: int, silence_limit_ns: int) -> npt.NDArray[np.bool_]:
        """Which of ``paths`` cannot be trusted now."""
        connections = connections_of_paths(paths)
        silent = ~self._up | (now_ns - self._heard_ns > silence_limit_ns)
        replaced = (paths & ((1 << _LIFE_BITS) - 1)) != self._life[connections]
        suspect: npt.NDArray[np.bool_] = silent[connections] | replaced
        return suspect


class Staleness:
    """The judge of quotes.

    Args:
        health: What is known of the connections.
        silence_limit_s: A connection without a byte for longer is suspect, seconds.
    """

    def __init__(self, health: FeedHealth, *, silence_limit_s: float) -> None:
        self._health = health
        self._silence_limit_ns = int(silence_limit_s * _NS_PER_S)
        self._open = np.zeros(_SEGMENTS, np.bool_)
        self._frozen: Tokens = np.zeros(0, np.uint32)
        self._frozen_segments = np.zeros(_SEGMENTS, np.bool_)
        self._ended: Tokens = np.zeros(0, np.uint32)

    def set_open_segments(self, segments: Iterable[int]) -> None:
        """Say which segments (low byte of the token: 2 NFO, 5 BFO, 9 indices) are in session; others are closed."""
        self._open[:] = False
        self._open[list(segments)] = True

    def set_frozen(self, tokens: Iterable[int], segments: Iterable[int] = ()) -> None:
        """Say what the exchange does not move now: in the closing auction some indices, and the cash segments whole.

        An instrument whose segment is not in session is CLOSED all the same.
        """
        self._frozen = np.array(sorted(tokens), np.uint32)
        self._frozen_segments[:] = False
        self._frozen_segments[list(segments)] = True

    def set_ended(self, tokens: Iterable[int]) -> None:
        """Say which contracts have ended although their segment is in session: they are closed for good."""
        self._ended = np.array(sorted(tokens), np.uint32)

    def states(self, board: QuotesBoard, slots: Slots, now_ns: int) -> States:
        """``QuoteState`` of each slot at ``now_ns`` (monotonic); -1 in ``slots`` is UNKNOWN."""
        states = np.full(len(slots), QuoteState.LIVE, np.uint8)
        if not len(board.tokens):
            states[:] = QuoteState.UNKNOWN
            return states
        kinds = board.kinds.take(slots, mode="clip")
        tokens = board.tokens.take(slots, mode="clip")
        # Written from the weakest claim to the strongest, each over the one before.
        bid, ask = board.words[:, BIDS + 1].take(slots, mode="clip"), board.words[:, ASKS + 1].take(slots, mode="clip")
        has_depth = kinds == PacketKind.FULL
        states[has_depth & ((bid == 0) != (ask == 0))] = QuoteState.ONE_SIDED
        states[has_depth & (bid != 0) & (ask != 0) & (bid >= ask)] = QuoteState.CROSSED
        segments = tokens & SEGMENT_MASK
        states[self._frozen_segments[segments]] = QuoteState.FROZEN
        if len(self._frozen):
            states[np.isin(tokens, self._frozen)] = QuoteState.FROZEN
        paths = board.paths.take(slots, mode="clip")
        states[self._health.suspect(paths, now_ns, self._silence_limit_ns)] = QuoteState.STALE
        assigned = board.assigned.take(slots, mode="clip")
        states[(assigned != ANY_CONNECTION) & (connections_of_paths(paths) != assigned)] = QuoteState.STALE
        states[~self._open[segments]] = QuoteState.CLOSED
        if len(self._ended):
            states[np.isin(tokens, self._ended)] = QuoteState.CLOSED
        states[(kinds == PacketKind.NONE) | (slots < 0)] = QuoteState.UNKNOWN
        return states

    def states_count(self, board: QuotesBoard, now_ns: int) -> dict[str, int]:
        """How many instruments of the board are in each state at ``now_ns`` (monotonic), by the state's name."""
        slots = np.flatnonzero(board.tokens)
        counts = np.bincount(self.states(board, slots, now_ns), minlength=len(QuoteState))
        return {state.name: int(counts[state]) for state in QuoteState}

    def marks(self, board: QuotesBoard, slots: Slots, now_ns: int) -> Integers:
        """A number of each slot that is another one whenever its packet or its state is; -1 in ``slots`` is UNKNOWN."""
        states = self.states(board, slots, now_ns).astype(np.int64)
        if not len(board.tokens):
            return states
        changes = board.sequences.take(slots, mode="clip").astype(np.int64)
        changes[slots < 0] = 0
        marks: Integers = changes * STATES_MAX + states
        return marks

    def state(self, board: QuotesBoard, slot: int, now_ns: int) -> QuoteState:
        """``QuoteState`` of one slot, as ``states`` has it: an order waits for this, and columns of one are slow."""
        if not 0 <= slot < len(board.tokens):
            return QuoteState.UNKNOWN
        # From the strongest claim to the weakest.
        kind, token = board.kinds.item(slot), board.tokens.item(slot)
        if kind == PacketKind.NONE:
            return QuoteState.UNKNOWN
        segment = token & SEGMENT_MASK
        if not self._open.item(segment) or _has(self._ended, token):
            return QuoteState.CLOSED
        path, assigned = board.paths.item(slot), board.assigned.item(slot)
        if assigned not in (ANY_CONNECTION, path >> _LIFE_BITS):
            return QuoteState.STALE
        if self._health.is_suspect(path, now_ns, self._silence_limit_ns):
            return QuoteState.STALE
        if self._frozen_segments.item(segment) or _has(self._frozen, token):
            return QuoteState.FROZEN
        if kind != PacketKind.FULL:
            return QuoteState.LIVE
        words = board.words
        bid, ask = words.item(slot, BIDS + 1), words.item(slot, ASKS + 1)
        if bid and ask:
            return QuoteState.CROSSED if bid >= ask else QuoteState.LIVE
        return QuoteState.ONE_SIDED if bid or ask else QuoteState.LIVE


def _has(tokens: Tokens, token: int) -> bool:
    return bool(len(tokens)) and bool((tokens == token).any())
