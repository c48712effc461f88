"""Nothing is lost and nothing comes from nowhere: quantities, positions, displayed units, and the book on the disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.practice.book import Book
from engine.practice.ledger import Ledger
from engine.practice.matching import Matcher
from engine.practice.orders import Order
from engine.practice.venue import BOOK_NAME
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue
from tests.unit.practice.test_matching import RECOVERY, order, quotes

LOT = 65
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PLACEMENTS = st.fixed_dictionaries(
    {
        "do": st.just("place"),
        "side": st.sampled_from(["BUY", "SELL"]),
        "lots": st.integers(1, 60),
        "ticks": st.integers(-60, 60),
        "kind": st.sampled_from(["LIMIT", "LIMIT", "MARKET", "SL", "IOC", "TTL", "iceberg", "slices"]),
        "acted_on": st.booleans(),
    }
)
OTHERS = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["modify", "cancel", "advance", "advance", "restart"]),
        "which": st.integers(0, 30),
        "lots": st.integers(1, 30),
        "ticks": st.integers(-20, 20),
        "acted_on": st.booleans(),
    }
)
STEPS = st.lists(PLACEMENTS | OTHERS, min_size=1, max_size=14)


@contextmanager
def a_venue() -> Iterator[Venue]:
    """A venue in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        venue = Venue(Path(folder))
        try:
            yield venue
        finally:
            venue.book.close()


def place(venue: Venue, step: dict[str, Any]) -> None:
    """Place what a step says, in the at-the-money call."""
    call, kind = venue.contract(), step["kind"]
    last = int(venue.exchange.floor.quotes.last[venue.row(call)])
    price = max(last + 5 * step["ticks"], 5)
    more = {"price": f"{price / 100:.2f}"}
    if kind == "MARKET":
        more = {"order_type": "MARKET", "market_protection": "-1"}
    elif kind == "SL":
        more |= {"order_type": "SL", "trigger_price": f"{price / 100:.2f}"}
    elif kind == "IOC":
        more |= {"validity": "IOC"}
    elif kind == "TTL":
        more |= {"validity": "TTL", "validity_ttl": "1"}
    elif kind == "iceberg":
        more |= {"iceberg_legs": "2", "iceberg_quantity": str(-(-step["lots"] // 2) * LOT)}
    elif kind == "slices":
        more |= {"autoslice": "true"}
    form = venue.form(call, step["side"], step["lots"] * LOT) | more
    desk = venue.exchange.desk
    try:
        placement = desk.submit(form, variety="iceberg" if kind == "iceberg" else "regular")
    except KiteError:
        return
    for order_id in placement.accepted:
        if step["acted_on"]:
            desk.process(order_id)


def change(venue: Venue, step: dict[str, Any]) -> None:
    """Modify or cancel one of the orders, if it can be."""
    ids = list(venue.exchange.ledger.orders)
    if not ids:
        return
    order_id, desk = ids[step["which"] % len(ids)], venue.exchange.desk
    try:
        if step["do"] == "cancel":
            desk.cancel("regular", order_id)
            finish = desk.finish_cancel
        else:
            price = max(venue.exchange.ledger.orders[order_id].price + 5 * step["ticks"], 5)
            desk.modify("regular", order_id, {"quantity": str(step["lots"] * LOT), "price": f"{price / 100:.2f}"})
            finish = desk.finish_change
    except KiteError:
        return
    if step["acted_on"]:
        finish(order_id)


def perform(venue: Venue, steps: list[dict[str, Any]]) -> None:
    """Carry out steps, checking after each."""
    for step in steps:
        match step["do"]:
            case "place":
                place(venue, step)
            case "advance":
                venue.advance(float(step["lots"]))
            case "restart":
                venue.restart()
            case _:
                change(venue, step)
        check(venue.exchange.ledger)


def check(ledger: Ledger) -> None:
    """Every quantity is accounted for, and no fill is worse than its limit."""
    filled: dict[str, int] = dict.fromkeys(ledger.orders, 0)
    net: dict[str, int] = {}
    for trade in ledger.trades:
        filled[trade.order_id] += trade.quantity
        net[trade.symbol] = net.get(trade.symbol, 0) + (trade.quantity if trade.side == "BUY" else -trade.quantity)
        assert trade.quantity > 0
    for row in ledger.orders.values():
        assert row.filled + row.open_quantity + row.cancelled == row.quantity
        assert row.filled == filled[row.order_id]
        assert row.open_quantity >= 0
        assert not (row.is_terminal and row.open_quantity)
    assert {key[1]: position.quantity for key, position in ledger.positions.items()} == net
    assert len({trade.trade_id for trade in ledger.trades}) == len(ledger.trades)


def state(ledger: Ledger) -> dict[str, Any]:
    """Everything that a client can be told."""
    return {
        "orders": [row.to_wire() for row in ledger.orders.values()],
        "histories": ledger.histories,
        "trades": [row.to_wire() for row in ledger.trades],
        "positions": {key: row.to_wire(1.0, day_only=False) for key, row in ledger.positions.items()},
        "next": (ledger.next_order, ledger.next_trade),
    }


@SLOW
@given(STEPS)
def test_quantities_and_positions_are_conserved(steps: list[dict[str, Any]]) -> None:
    """Filled, pending and cancelled make the quantity; positions are the sum of trades; a terminal order is done."""
    with a_venue() as venue:
        perform(venue, steps)


@SLOW
@given(STEPS, st.floats(0.0, 1.0))
def test_a_kill_at_any_byte_leaves_a_book_that_is_true(steps: list[dict[str, Any]], share: float) -> None:
    """The whole book replays to the same state; cut anywhere it replays to an earlier one, and what was accepted and
    not acted on is acted on.
    """
    with a_venue() as venue, tempfile.TemporaryDirectory() as folder:
        start = (venue.settings.state / BOOK_NAME).stat().st_size
        perform(venue, steps)
        live = state(venue.exchange.ledger)
        copy = Path(folder) / "copy" / BOOK_NAME
        copy.parent.mkdir()
        shutil.copyfile(venue.settings.state / BOOK_NAME, copy)
        book = Book(copy)
        replayed = Ledger(venue.settings.service.opening_cash)
        replayed.replay(book.replay())
        book.close()
        assert state(replayed) == live
        size = copy.stat().st_size
        with copy.open("r+b") as file:
            file.truncate(start + round((size - start) * share))
        killed = Venue(copy.parent)
        try:
            check(killed.exchange.ledger)
            assert set(killed.exchange.ledger.orders) <= set(venue.exchange.ledger.orders)
            killed.advance(0.5)
            check(killed.exchange.ledger)
            waiting = {row.status for row in killed.exchange.ledger.open_orders()}
            assert waiting <= {"OPEN", "TRIGGER PENDING", "PUT ORDER REQ RECEIVED"}
            unborn = [row for row in killed.exchange.ledger.open_orders() if row.status == "PUT ORDER REQ RECEIVED"]
            assert all(row.origin == "leg" for row in unborn), "only a leg born in this very step may still wait"
        finally:
            killed.book.close()


LEVELS = st.lists(st.integers(1, 40), min_size=0, max_size=5)
RESTING = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 40), st.integers(-6, 6)), min_size=1, max_size=8
)


def ladder(sizes: list[int], best: int, step: int) -> tuple[tuple[int, int], ...]:
    """Return displayed levels of so many units, from the best price away."""
    return tuple((best + step * number, size) for number, size in enumerate(sizes))


@settings(max_examples=300, deadline=None)
@given(LEVELS, LEVELS, RESTING, st.integers(0, 400), st.integers(-4, 4))
def test_nothing_is_filled_beyond_what_was_shown_or_traded(
    bids: list[int], asks: list[int], wanted: list[tuple[str, int, int]], volume: int, moved: int
) -> None:
    """All orders of a side together get at most what was displayed within their limits and half of what traded, each
    within its limit and its quantity.
    """
    matcher = Matcher(RECOVERY)
    before = quotes(100.0, ladder(bids, 9990, -5), ladder(asks, 10010, 5), last=10000)
    now = quotes(101.0, ladder(bids, 9990 + 5 * moved, -5), ladder(asks, 10010 + 5 * moved, 5), 10000 + 5 * moved)
    now.volume[0] = volume
    shown = {side: sum(level.quantity for level in matcher.displayed(now, 0, side)) for side in ("BUY", "SELL")}
    matcher.apply(now)
    got = {"BUY": 0, "SELL": 0}
    for side, quantity, ticks in wanted:
        resting: Order = order(side, quantity, 10000 + 5 * ticks, resting=True, ahead=0)
        fills = matcher.wait(before, now, 0, resting)
        total = sum(fill.quantity for fill in fills)
        assert total <= quantity
        assert all(fill.quantity > 0 for fill in fills)
        assert all((fill.price <= resting.price) if side == "BUY" else (fill.price >= resting.price) for fill in fills)
        got[side] += total
    for side, total in got.items():
        assert total <= shown[side] + volume // 2


@settings(max_examples=200, deadline=None)
@given(LEVELS, st.lists(st.tuples(st.integers(1, 60), st.integers(-3, 6)), min_size=1, max_size=6))
def test_incoming_orders_take_what_is_shown_once(asks: list[int], wanted: list[tuple[int, int]]) -> None:
    """Buyers one after another take each displayed unit at most once, best price first."""
    matcher, now = Matcher(RECOVERY), quotes(asks=ladder(asks, 10010, 5))
    shown = dict(ladder(asks, 10010, 5))
    for quantity, ticks in wanted:
        taker = order("BUY", quantity, 10010 + 5 * ticks)
        fills = matcher.take(now, 0, taker)
        assert [fill.price for fill in fills] == sorted(fill.price for fill in fills)
        for fill in fills:
            assert fill.price <= taker.price
            shown[fill.price] -= fill.quantity
            assert shown[fill.price] >= 0
        left_better = [price for price, units in shown.items() if units and price <= taker.price]
        if sum(fill.quantity for fill in fills) < quantity:
            assert not left_better, "it would have taken more"


@pytest.mark.parametrize("step", [{"do": "cancel", "which": 0, "acted_on": False}])
def test_the_steps_do_something(step: dict[str, Any]) -> None:
    """The steps of the properties really make trades, changes and cancellations."""
    with a_venue() as venue:
        buy = {"do": "place", "side": "BUY", "lots": 2, "ticks": 60, "kind": "LIMIT", "acted_on": True}
        perform(venue, [buy, buy | {"ticks": -60}])
        assert venue.exchange.ledger.trades
        perform(venue, [step | {"which": 1}, {"do": "restart"}])
        assert [row.status for row in venue.exchange.ledger.orders.values()] == ["COMPLETE", "CANCELLED"]
