"""The table of quote states: which facts give which state, and which fact wins."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.kite.codec import decode_frame
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import ANY_CONNECTION, QuotesBoard
from engine.market.staleness import FeedHealth, Staleness

SECOND = 1_000_000_000
NOW = 100 * SECOND
CALL, PUT, INDEX, SHARE = 3_840_002, 3_840_258, 256_265, 1_025 << 8 | 1
ALL_SEGMENTS = range(1, 13)


class Rig:
    """A board, one or two connections and their judge; 5 seconds of silence are the limit."""

    def __init__(self, connections: int = 1) -> None:
        self.board = QuotesBoard(limit=10)
        self.board.add([CALL, INDEX])
        self.health = FeedHealth(connections)
        self.states = Staleness(self.health, silence_limit_s=5.0)
        self.states.set_open_segments(ALL_SEGMENTS)

    def packet(self, token: int = CALL, *, bid: int = 100, ask: int = 110, connection: int = 0, at: int = NOW) -> None:
        """A full packet (an index packet for the index) over a connection."""
        if token == INDEX:
            body = struct.pack(">8I", token, 2_435_025, 1, 1, 1, 1, 1, 1)
        else:
            words = [105] * 46
            words[0], words[17], words[32] = token, bid, ask
            body = struct.pack(">46I", *words)
        payload = struct.pack(">HH", 1, len(body)) + body
        self.health.heard(connection, at)
        path = self.health.path(connection)
        self.board.apply(decode_frame(payload), received_ns=at, market_ns=at, path=path)

    def of(self, token: int = CALL, now: int = NOW) -> QuoteState:
        """The state now."""
        slot = self.board.slot_of(token)
        assert slot is not None
        return self.states.state(self.board, slot, now)


@pytest.fixture
def rig() -> Rig:
    """One connected connection."""
    rig = Rig()
    rig.health.connected(0, NOW)
    return rig


def test_nothing_received_is_unknown(rig: Rig) -> None:
    """An instrument without a packet is UNKNOWN, in and out of session."""
    assert rig.of() is QuoteState.UNKNOWN
    rig.states.set_open_segments([])
    assert rig.of() is QuoteState.UNKNOWN


@pytest.mark.parametrize(
    ("bid", "ask", "state"),
    [
        (100, 110, QuoteState.LIVE),
        (110, 110, QuoteState.CROSSED),
        (120, 110, QuoteState.CROSSED),
        (0, 110, QuoteState.ONE_SIDED),
        (100, 0, QuoteState.ONE_SIDED),
        (0, 0, QuoteState.LIVE),
    ],
)
def test_the_book_gives_the_state_on_a_live_path(rig: Rig, bid: int, ask: int, state: QuoteState) -> None:
    """Two proper sides or none are LIVE, touching or overlapping ones CROSSED, a single one ONE_SIDED."""
    rig.packet(bid=bid, ask=ask)
    assert rig.of() is state


def test_an_old_price_on_a_live_path_is_live(rig: Rig) -> None:
    """An hour without a change is LIVE as long as the connection speaks."""
    rig.packet()
    later = NOW + 3600 * SECOND
    rig.health.heard(0, later - SECOND)
    assert rig.of(now=later) is QuoteState.LIVE


def test_a_silent_connection_is_stale_just_beyond_the_limit(rig: Rig) -> None:
    """Silence up to the limit is LIVE, one nanosecond more is STALE, the next heartbeat makes it LIVE again."""
    rig.packet()
    limit = NOW + 5 * SECOND
    assert rig.of(now=limit) is QuoteState.LIVE
    assert rig.of(now=limit + 1) is QuoteState.STALE
    rig.health.heard(0, limit + 1)
    assert rig.of(now=limit + 1) is QuoteState.LIVE


def test_a_lost_connection_is_stale_at_once(rig: Rig) -> None:
    """Nobody waits for the limit when the connection is known to be gone."""
    rig.packet()
    rig.health.disconnected(0)
    assert rig.of() is QuoteState.STALE


def test_after_a_reconnection_each_instrument_is_stale_until_heard_of(rig: Rig) -> None:
    """A replaced connection vouches only for what it has brought itself."""
    rig.packet(CALL)
    rig.packet(INDEX)
    rig.health.disconnected(0)
    rig.health.connected(0, NOW)
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.STALE, QuoteState.STALE)
    rig.packet(CALL)
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.LIVE, QuoteState.STALE)


def test_each_connection_answers_for_its_own() -> None:
    """One silent connection makes only what it brought suspect."""
    rig = Rig(connections=2)
    rig.health.connected(0, NOW)
    rig.health.connected(1, NOW)
    rig.packet(CALL, connection=0)
    rig.packet(INDEX, connection=1)
    rig.health.disconnected(1)
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.LIVE, QuoteState.STALE)
    rig.packet(INDEX, connection=0)
    assert rig.of(INDEX) is QuoteState.LIVE


def test_a_closed_segment_is_closed_whatever_the_path(rig: Rig) -> None:
    """Out of session the figures are the last of it, even over a dead connection; other segments are untouched."""
    rig.packet(CALL)
    rig.packet(INDEX)
    rig.states.set_open_segments([2])
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.LIVE, QuoteState.CLOSED)
    rig.health.disconnected(0)
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.STALE, QuoteState.CLOSED)


def test_a_frozen_index_is_frozen_only_on_a_live_path(rig: Rig) -> None:
    """FROZEN needs a path that would bring a move; a suspect path is STALE first."""
    rig.packet(CALL)
    rig.packet(INDEX)
    rig.states.set_frozen([INDEX])
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.LIVE, QuoteState.FROZEN)
    rig.health.disconnected(0)
    assert rig.of(INDEX) is QuoteState.STALE
    rig.health.connected(0, NOW)
    rig.packet(INDEX)
    rig.states.set_frozen([])
    assert rig.of(INDEX) is QuoteState.LIVE


def test_a_stale_book_is_not_called_crossed(rig: Rig) -> None:
    """What the path cannot vouch for is STALE before it is anything else."""
    rig.packet(bid=120, ask=110)
    rig.health.disconnected(0)
    assert rig.of() is QuoteState.STALE


def test_whole_columns_agree_with_single_slots(rig: Rig) -> None:
    """The vectorised answer equals the one by one, and no slot at all is UNKNOWN."""
    rig.packet(CALL, bid=0)
    rig.packet(INDEX)
    slots = np.array([rig.board.slot_of(CALL), -1, rig.board.slot_of(INDEX)], np.intp)
    states = rig.states.states(rig.board, slots, NOW)
    assert [QuoteState(int(state)) for state in states] == [rig.of(CALL), QuoteState.UNKNOWN, rig.of(INDEX)]
    empty = QuotesBoard(limit=1)
    assert rig.states.states(empty, np.array([-1], np.intp), NOW).tolist() == [QuoteState.UNKNOWN]


@given(data=st.data())
def test_one_slot_is_judged_as_columns_are(data: st.DataObject) -> None:
    """Whatever has happened to an instrument, its own judgement is that of the column it stands in."""
    rig = Rig(connections=2)
    for connection in range(2):
        if data.draw(st.booleans(), label="connects"):
            rig.health.connected(connection, NOW)
    for token in data.draw(st.lists(st.sampled_from([CALL, INDEX])), label="packets"):
        bid, ask = data.draw(st.tuples(*[st.sampled_from([0, 100, 110])] * 2), label="book")
        rig.packet(token, bid=bid, ask=ask, connection=data.draw(st.sampled_from([0, 1]), label="over"))
    for token in (CALL, INDEX):
        rig.board.assign([token], data.draw(st.sampled_from([ANY_CONNECTION, 0, 1]), label="assigned"))
    for connection in range(2):
        match data.draw(st.sampled_from(["stays", "goes", "comes again"]), label="then"):
            case "goes":
                rig.health.disconnected(connection)
            case "comes again":
                rig.health.connected(connection, NOW)
    rig.states.set_open_segments(data.draw(st.sets(st.sampled_from([CALL & 0xFF, INDEX & 0xFF])), label="open"))
    some = st.sets(st.sampled_from([CALL, INDEX]))
    rig.states.set_frozen(
        data.draw(some, label="frozen"), [token & 0xFF for token in data.draw(some, label="segments")]
    )
    rig.states.set_ended(data.draw(some, label="ended"))
    now = NOW + data.draw(st.sampled_from([0, 5, 6]), label="seconds later") * SECOND
    slots = np.arange(-1, len(rig.board.tokens))
    columns = [QuoteState(int(state)) for state in rig.states.states(rig.board, slots, now)]
    assert [rig.states.state(rig.board, int(slot), now) for slot in slots] == columns


def test_health_tells_silence_only_while_connected(rig: Rig) -> None:
    """Seconds of silence of a connection, and nothing for one that is down."""
    assert rig.health.silence_s(0, NOW + 2 * SECOND) == 2.0
    assert rig.health.is_up(0)
    rig.health.disconnected(0)
    assert rig.health.silence_s(0, NOW) is None
    assert not rig.health.is_up(0)


def test_an_instrument_given_to_another_connection_is_stale_until_that_one_brings_it() -> None:
    """A trailing packet of the old connection, alive as it may be, vouches for nothing; giving it to none ends that."""
    rig = Rig(connections=2)
    rig.health.connected(0, NOW)
    rig.health.connected(1, NOW)
    rig.packet(CALL, connection=0)
    rig.packet(INDEX, connection=0)
    rig.board.assign([CALL], 1)
    assert (rig.of(CALL), rig.of(INDEX)) == (QuoteState.STALE, QuoteState.LIVE)
    rig.packet(CALL, connection=0)
    assert rig.of(CALL) is QuoteState.STALE
    rig.packet(CALL, connection=1)
    assert rig.of(CALL) is QuoteState.LIVE
    rig.board.assign([CALL], 0)
    assert rig.of(CALL) is QuoteState.STALE
    rig.board.assign([CALL], ANY_CONNECTION)
    assert rig.of(CALL) is QuoteState.LIVE


def test_a_contract_that_has_ended_is_closed_while_its_segment_trades_on() -> None:
    """On the expiry day ended contracts are CLOSED, whatever the path, and others of the segment are not."""
    rig = Rig()
    rig.board.add([PUT])
    rig.health.connected(0, NOW)
    rig.packet(CALL, bid=0)
    rig.packet(PUT)
    rig.states.set_ended([CALL])
    assert (rig.of(CALL), rig.of(PUT)) == (QuoteState.CLOSED, QuoteState.LIVE)
    rig.health.disconnected(0)
    assert (rig.of(CALL), rig.of(PUT)) == (QuoteState.CLOSED, QuoteState.STALE)
    rig.states.set_ended([])
    assert rig.of(CALL) is QuoteState.STALE


def test_a_segment_freezes_alone(rig: Rig) -> None:
    """In the closing auction cash is FROZEN while derivatives trade on; once its session is over it is CLOSED."""
    rig.board.add([SHARE])
    rig.packet(CALL)
    rig.packet(SHARE)
    rig.packet(INDEX)
    rig.states.set_frozen([INDEX], segments=[1])
    assert [rig.of(token) for token in (CALL, SHARE, INDEX)] == [QuoteState.LIVE, QuoteState.FROZEN, QuoteState.FROZEN]
    rig.states.set_open_segments([2, 9])
    assert [rig.of(token) for token in (CALL, SHARE, INDEX)] == [QuoteState.LIVE, QuoteState.CLOSED, QuoteState.FROZEN]
    rig.states.set_open_segments(ALL_SEGMENTS)
    rig.states.set_frozen([])
    assert [rig.of(token) for token in (SHARE, INDEX)] == [QuoteState.LIVE, QuoteState.LIVE]


@pytest.mark.parametrize("length", [8, 44])
def test_what_carries_no_book_is_neither_crossed_nor_one_sided(rig: Rig, length: int) -> None:
    """A last price or a quote packet after a crossed book is LIVE: nothing is known of the book any more."""
    rig.packet(CALL, bid=120, ask=110)
    assert rig.of() is QuoteState.CROSSED
    body = struct.pack(">I", CALL) + struct.pack(">I", 105) * (length // 4 - 1)
    frame = decode_frame(struct.pack(">HH", 1, length) + body)
    rig.board.apply(frame, received_ns=NOW, market_ns=NOW, path=rig.health.path(0))
    assert rig.of() is QuoteState.LIVE


def test_states_are_counted_by_name(rig: Rig) -> None:
    """Every instrument of the board counts once, freed slots do not, and every state has a line."""
    rig.board.add([PUT, SHARE, 999 << 8 | 2])
    rig.board.remove([999 << 8 | 2])
    rig.packet(CALL, bid=0)
    rig.packet(PUT)
    rig.packet(INDEX)
    rig.states.set_frozen([INDEX])
    counts = rig.states.states_count(rig.board, NOW)
    assert counts == {state.name: 0 for state in QuoteState} | {"ONE_SIDED": 1, "LIVE": 1, "FROZEN": 1, "UNKNOWN": 1}
    assert sum(rig.states.states_count(QuotesBoard(limit=1), NOW).values()) == 0


def test_a_clock_that_went_back_gives_no_negative_age(rig: Rig) -> None:
    """Silence and age are 0 where a replay went back before the last byte."""
    rig.packet(CALL)
    assert rig.health.silence_s(0, NOW - SECOND) == 0.0
    assert rig.board.age_s(rig.board.slots_of([CALL, INDEX]), NOW - SECOND)[0] == 0.0
    assert np.isnan(rig.board.age_s(rig.board.slots_of([INDEX]), NOW)).all()
