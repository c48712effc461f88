"""Wishes of consumers, their sum, and the changes told to a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.feed import FeedMode, feed_change
from engine.market.subscriptions import Subscriptions

LTP, QUOTE, FULL = FeedMode.LTP, FeedMode.QUOTE, FeedMode.FULL
WISH = st.dictionaries(st.integers(1, 30), st.sampled_from(FeedMode), max_size=15)


def test_an_instrument_stays_while_anyone_wants_it() -> None:
    """Two consumers of one instrument: it goes only when the second leaves."""
    wishes = Subscriptions()
    wishes.want("chain", [1, 2])
    wishes.want("rules", [2, 3])
    wishes.drop("chain")
    assert dict(wishes.desired) == {2: FULL, 3: FULL}
    assert wishes.consumers_of(2) == ("rules",)
    wishes.drop("rules")
    wishes.drop("rules")
    assert dict(wishes.desired) == {}


def test_the_greatest_mode_wins_and_falls_back() -> None:
    """Full beats last price; when the full one leaves the rest's mode remains."""
    wishes = Subscriptions()
    wishes.want("strip", [1], LTP)
    wishes.want("ladder", [1], FULL)
    assert wishes.desired[1] is FULL
    wishes.drop("ladder")
    assert wishes.desired[1] is LTP


def test_a_wish_replaces_the_one_before() -> None:
    """A consumer states its whole wish; what it no longer names goes."""
    wishes = Subscriptions()
    wishes.want("chain", [1, 2, 3])
    wishes.want("chain", [3, 4])
    assert set(wishes.desired) == {3, 4}


def test_what_does_not_fit_is_named_and_comes_in_when_there_is_room() -> None:
    """Beyond the capacity instruments are refused by name, and wanted again as room appears."""
    wishes = Subscriptions(capacity=3)
    assert wishes.want("chain", [1, 2]) == ()
    assert wishes.want("scan", [2, 3, 4, 5]) == (4, 5)
    assert set(wishes.refused) == {4, 5}
    wishes.drop("chain")
    assert (set(wishes.desired), set(wishes.refused)) == ({2, 3, 4}, {5})


def test_priority_goes_first_when_room_is_short() -> None:
    """A later consumer of higher priority takes the room of an earlier one."""
    wishes = Subscriptions(capacity=2)
    wishes.want("scan", [1, 2])
    wishes.want("positions", [3], priority=10)
    assert (set(wishes.desired), set(wishes.refused)) == ({3, 1}, {2})


def test_the_version_moves_only_with_a_change() -> None:
    """Stating the same wish again is no change."""
    wishes = Subscriptions()
    wishes.want("chain", [1])
    version = wishes.version
    wishes.want("chain", [1])
    wishes.want("other", [1])
    assert wishes.version == version
    wishes.want("other", [2])
    assert wishes.version == version + 1


def test_room_for_nothing_is_refused() -> None:
    """A feed has room for something."""
    with pytest.raises(ValueError, match="capacity"):
        Subscriptions(capacity=0)


@given(st.lists(st.tuples(st.sampled_from("abcd"), WISH, st.integers(0, 2)), max_size=12), st.integers(1, 20))
def test_desired_and_refused_are_the_union_of_all_wishes(
    steps: list[tuple[str, dict[int, FeedMode], int]], capacity: int
) -> None:
    """After any steps: never more than fits, nothing lost, nothing unasked, each at the greatest mode asked for."""
    wishes = Subscriptions(capacity=capacity)
    model: dict[str, dict[int, FeedMode]] = {}
    for consumer, wish, priority in steps:
        wishes.want_modes(consumer, wish, priority=priority)
        model[consumer] = wish
        union: dict[int, FeedMode] = {}
        for wanted in model.values():
            for token, mode in wanted.items():
                union[token] = max(mode, union.get(token, LTP))
        assert len(wishes.desired) == min(capacity, len(union))
        assert dict(wishes.desired) | dict(wishes.refused) == union
        assert not wishes.desired.keys() & wishes.refused.keys()


@given(WISH, WISH)
def test_a_change_leads_from_what_was_told_to_what_is_desired(
    applied: dict[int, FeedMode], desired: dict[int, FeedMode]
) -> None:
    """Carrying out the change on a connection gives the desired state, with no needless message."""
    change = feed_change(applied, desired)
    carried = {token: mode for token, mode in applied.items() if token not in change.unsubscribe}
    carried |= dict.fromkeys(change.subscribe, QUOTE)
    for mode, tokens in change.modes:
        assert set(tokens) <= carried.keys()
        carried |= dict.fromkeys(tokens, mode)
    assert carried == desired
    assert change.is_empty is (applied == desired)
    named = {token for _, tokens in change.modes for token in tokens}
    assert set(change.subscribe) <= named
    assert not any(applied.get(token) is desired[token] for token in named)


def test_counted_instruments_stay_until_the_last_count() -> None:
    """Counting in twice needs counting out twice; what was never counted in is passed over."""
    wishes = Subscriptions()
    assert wishes.add("watch", [1, 2]) == ()
    wishes.add("watch", [2])
    wishes.release("watch", [1, 2, 9])
    assert dict(wishes.desired) == {2: FULL}
    wishes.release("watch", [2])
    assert dict(wishes.desired) == {}
    assert wishes.consumers() == ()
    wishes.release("watch", [2])
    wishes.want("watch", [5])
    wishes.add("watch", [5], LTP)
    wishes.release("watch", [5])
    assert dict(wishes.desired) == {5: LTP}
    wishes.want("watch", [5])
    wishes.release("watch", [5])
    assert dict(wishes.desired) == {}


def test_what_is_in_stays_in_while_priorities_are_equal() -> None:
    """A wish said in another order, or a later one of the same priority, displaces nothing."""
    wishes = Subscriptions(capacity=3)
    wishes.want("scan", [1, 2, 3, 4])
    assert set(wishes.refused) == {4}
    wishes.take_changed()
    wishes.want("scan", [4, 3, 2, 1])
    wishes.want("other", [7, 8])
    assert set(wishes.desired) == {1, 2, 3}
    assert wishes.take_changed() == ()
    wishes.want("held", [8], priority=1)
    assert 8 in wishes.desired
    assert len(wishes.desired) == 3


def test_less_room_refuses_the_least_wanted_and_more_lets_them_in() -> None:
    """When a connection is out of count, lower priorities give way; everybody who wants in vain is listed."""
    wishes = Subscriptions(capacity=10)
    wishes.want("scan", [1, 2, 3])
    wishes.want("held", [3, 4], priority=20)
    wishes.set_room(3)
    assert set(wishes.desired) == {3, 4, 1}
    assert wishes.refused_wishes() == (("scan", 0, (2,)),)
    wishes.want("copy", [2, 3], priority=-1)
    assert wishes.refused_wishes() == (("scan", 0, (2,)), ("copy", -1, (2,)))
    assert wishes.consumers() == (("held", 2), ("scan", 3), ("copy", 2))
    assert wishes.priority_of(3) == 20
    wishes.set_room(99)
    assert wishes.room == 10
    assert set(wishes.desired) == {1, 2, 3, 4}
    assert wishes.refused_wishes() == ()


STEP: st.SearchStrategy[tuple[str, str, dict[int, FeedMode], int]] = st.one_of(
    st.tuples(st.just("want"), st.sampled_from("abcd"), WISH, st.integers(0, 2)),
    st.tuples(st.just("add"), st.sampled_from("abcd"), WISH, st.integers(0, 2)),
    st.tuples(st.just("release"), st.sampled_from("abcd"), WISH, st.just(0)),
    st.tuples(st.just("drop"), st.sampled_from("abcd"), st.just({}), st.just(0)),
    st.tuples(st.just("room"), st.just(""), st.just({}), st.integers(1, 25)),
)


@given(st.lists(STEP, max_size=25))
def test_the_changes_told_lead_from_each_state_to_the_next(
    steps: list[tuple[str, str, dict[int, FeedMode], int]],
) -> None:
    """Whoever follows ``take_changed`` knows what is desired; priorities are respected after every step."""
    wishes = Subscriptions(capacity=20)
    followed: dict[int, FeedMode] = {}
    for action, consumer, wish, number in steps:
        if action == "want":
            wishes.want_modes(consumer, wish, priority=number)
        elif action == "add":
            wishes.add(consumer, wish, LTP, priority=number)
        elif action == "release":
            wishes.release(consumer, wish)
        elif action == "drop":
            wishes.drop(consumer)
        else:
            wishes.set_room(number)
        for token in wishes.take_changed():
            if token in wishes.desired:
                assert followed.get(token) is not wishes.desired[token]
                followed[token] = wishes.desired[token]
            else:
                del followed[token]
        assert followed == dict(wishes.desired)
        assert len(wishes.desired) <= wishes.room
        assert not wishes.refused or len(wishes.desired) == wishes.room
        assert not wishes.desired.keys() & wishes.refused.keys()
        if wishes.refused:
            worst = min(map(wishes.priority_of, wishes.desired))
            assert max(map(wishes.priority_of, wishes.refused)) <= worst
