"""Which connection carries which instrument: placing, staying, moving off what is out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.feed import FeedMode
from engine.market.feed_pool import FeedKey, FeedPool, LineState

FULL, LTP = FeedMode.FULL, FeedMode.LTP


def pool_of(*keys: tuple[str, int, int]) -> FeedPool:
    """A pool of (account, connections, capacity of each)."""
    return FeedPool(
        [
            FeedKey(account=account, connections_max=connections, connection_capacity=capacity)
            for account, connections, capacity in keys
        ]
    )


def loads(pool: FeedPool) -> list[set[int]]:
    """What each connection carries."""
    return [set(line.tokens) for line in pool.lines]


def test_connections_fill_one_after_the_other() -> None:
    """No connection is asked for before the one in front of it is full; other keys come last."""
    pool = pool_of(("A", 2, 2), ("B", 1, 2))
    for token in range(1, 7):
        assert pool.put(token, FULL) is not None
    assert loads(pool) == [{1, 2}, {3, 4}, {5, 6}]
    assert [line.key.account for line in pool.lines] == ["A", "A", "B"]
    assert pool.put(7, FULL) is None
    assert pool.capacity == pool.room == 6


def test_an_instrument_stays_and_changes_its_mode_where_it_is() -> None:
    """Room in front does not pull anything; a mode is changed in place, and the given-out view follows."""
    pool = pool_of(("A", 2, 2))
    for token in (1, 2, 3):
        pool.put(token, FULL)
    carried = pool.lines[1].carried
    pool.take(1)
    line = pool.put(3, LTP)
    assert line is pool.lines[1]
    assert carried == {3: LTP}
    assert pool.put(4, FULL) is pool.lines[0]
    assert pool.take(99) is None


def test_what_is_up_goes_before_what_is_being_made() -> None:
    """New instruments go where they are heard at once."""
    pool = pool_of(("A", 3, 2))
    pool.put(1, FULL)
    pool.lines[1].state = LineState.UP
    assert pool.put(2, FULL) is pool.lines[1]
    pool.lines[1].state = LineState.OUT
    assert pool.put(3, FULL) is pool.lines[0]
    assert pool.put(4, FULL) is pool.lines[2]


def test_rescue_moves_by_priority_and_only_to_what_is_up() -> None:
    """Off a connection that is out, the most wanted first, as far as there is room; the rest stays where it is."""
    pool = pool_of(("A", 1, 4), ("B", 2, 2))
    for token in (1, 2, 3, 4):
        pool.put(token, FULL)
    first, second, third = pool.lines
    first.state = LineState.OUT
    assert pool.rescue(lambda token: token) == set()
    assert pool.spare() is second
    second.state = LineState.UP
    assert pool.rescue(lambda token: token) == {first, second}
    assert loads(pool) == [{1, 2}, {3, 4}, set()]
    assert pool.spare() is third
    third.state = LineState.OPENING
    assert pool.spare() is None
    first.state = LineState.UP
    assert pool.rescue(lambda token: token) == set()
    assert pool.spare() is None
    assert loads(pool) == [{1, 2}, {3, 4}, set()]


def test_room_is_that_of_what_counts() -> None:
    """A connection that is out gives no room; when all are out, what there is stays and waits."""
    pool = pool_of(("A", 1, 3), ("B", 1, 2))
    pool.lines[0].state = LineState.OUT
    assert pool.room == 2
    pool.lines[1].state = LineState.OUT
    assert pool.room == pool.capacity == 5


@pytest.mark.parametrize("keys", [[], [("A", 1, 1), ("A", 1, 1)], [("A", 0, 1)], [("A", 1, 0)]])
def test_keys_that_make_no_feed_are_refused(keys: list[tuple[str, int, int]]) -> None:
    """None at all, one twice, or one without room."""
    with pytest.raises(ValueError, match="key"):
        pool_of(*keys)


STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 25), st.sampled_from(FeedMode)),
    st.tuples(st.just("take"), st.integers(1, 25), st.none()),
    st.tuples(st.just("state"), st.integers(0, 4), st.sampled_from(LineState)),
    st.tuples(st.just("rescue"), st.none(), st.none()),
)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_each_instrument_is_in_one_place(steps: list[tuple[str, int, object]]) -> None:
    """After any steps: carried is what was put and not taken, once, within capacity; only rescue moves, off OUT."""
    pool = pool_of(("A", 3, 4), ("B", 2, 3))
    model: dict[int, FeedMode] = {}
    for action, number, value in steps:
        before = {token: line for token in model if (line := pool.line_of(token)) is not None}
        if action == "put":
            assert isinstance(value, FeedMode)
            if pool.put(number, value) is None:
                assert number not in model
                assert len(model) == pool.capacity
            else:
                model[number] = value
        elif action == "take":
            assert (pool.take(number) is not None) is (model.pop(number, None) is not None)
        elif action == "state":
            assert isinstance(value, LineState)
            pool.lines[number].state = value
        else:
            pool.rescue(lambda token: token % 3)
        carried = [(token, mode) for line in pool.lines for token, mode in line.tokens.items()]
        assert len(carried) == len(model)
        assert dict(carried) == model
        assert all(line.room >= 0 for line in pool.lines)
        for token, line in before.items():
            now = pool.line_of(token)
            if token in model and now is not line:
                assert action == "rescue"
                assert line.state is LineState.OUT
                assert now is not None
                assert now.state is LineState.UP


def test_the_first_connection_of_every_account_with_orders_is_kept() -> None:
    """Its order updates come over it, whether it carries anything or not; others are opened when they are needed."""
    pool = FeedPool(
        [FeedKey(account="A", connections_max=2), FeedKey(account="B", hears_orders=True), FeedKey(account="C")]
    )
    kept = [(line.key.account, line.number) for line in pool.lines if line.is_kept]
    assert kept == [("A", 0), ("B", 2)]


def test_a_key_for_order_updates_alone_carries_nothing() -> None:
    """It has no room and is no spare; without order updates it would be of no use, and is refused."""
    listens = FeedKey(account="B", connections_max=1, connection_capacity=0, hears_orders=True)
    pool = FeedPool([FeedKey(account="A", connections_max=1, connection_capacity=1), listens])
    assert pool.put(1, FULL) is pool.lines[0]
    assert pool.put(2, FULL) is None
    pool.lines[0].state = LineState.OUT
    assert pool.spare() is None
    with pytest.raises(ValueError, match="room"):
        FeedPool([FeedKey(account="B", connection_capacity=0)])
