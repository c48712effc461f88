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
