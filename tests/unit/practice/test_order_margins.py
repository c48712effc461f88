"""Margins of portfolios, orders and baskets: hedges, expiry days, and what an order's placement needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.practice.charges import Charges
from engine.practice.contracts import Contract
from engine.practice.margins import EXPIRY_SURCHARGE, MarginLeg, requirement
from engine.practice.order_margins import Asked, MarginCalculator, MarginOrder, read_asked
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue

SPOT, RATE = 24_200.0, 0.065
NEAR = MarginLeg("NIFTY", -65, SPOT, SPOT, 24_200.0, 0.2 / 365, 0.12, True, False, 60.0, True)
FAR = replace(NEAR, quantity=65, years=7.2 / 365, price=180.0, expires_today=False)


def test_a_calendar_spread_loses_its_benefit_on_the_near_expiry_day() -> None:
    """The far option hedges the near short until the day the near one expires; then the short stands alone, with the
    surcharge.
    """
    before = [replace(NEAR, years=1.2 / 365, expires_today=False), FAR]
    hedged, naked = requirement(before, RATE), requirement(before[:1], RATE)
    assert hedged.span < 0.4 * naked.span
    today, alone = requirement([NEAR, FAR], RATE), requirement([NEAR], RATE)
    assert today.span == alone.span
    assert today.exposure == pytest.approx((0.02 + EXPIRY_SURCHARGE) * SPOT * 65)


def test_hedges_that_expire_together_keep_their_benefit() -> None:
    """A vertical spread on its expiry day still scans to about its width."""
    spread = [NEAR, replace(NEAR, quantity=65, strike=24_300.0)]
    assert requirement(spread, RATE).span == pytest.approx(100.0 * 65, rel=0.2)


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-6, 6), st.booleans(), st.booleans()), min_size=1, max_size=6)
)
def test_a_portfolio_never_needs_more_than_its_legs_alone(rows: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever the legs, the joint requirement is at most the sum of theirs, and never negative."""
    legs = [
        replace(
            NEAR,
            quantity=lots * 65,
            strike=SPOT + steps * 100.0,
            is_call=is_call,
            expires_today=today,
            years=(0.2 if today else 7.2) / 365,
        )
        for lots, steps, is_call, today in rows
    ]
    joint = requirement(legs, RATE)
    alone = [requirement([leg], RATE) for leg in legs]
    assert 0.0 <= joint.span <= sum(one.span for one in alone) + 1e-6
    assert joint.exposure == pytest.approx(sum(one.exposure for one in alone))


def calculator(venue: Venue) -> MarginCalculator:
    """Return the calculator of a venue."""
    return MarginCalculator(venue.exchange.floor, venue.exchange.funds, Charges.load())


def asked(venue: Venue, contract: Contract, side: str, lots: int = 1) -> Asked:
    """Return an order at about the last price, as a request brings it."""
    last = int(venue.exchange.floor.quotes.last[venue.row(contract)]) / 100
    row = MarginOrder("NFO", contract.symbol, side, "regular", "NRML", "LIMIT", lots * contract.lot, last)
    return read_asked(row, venue.exchange.floor)


def test_what_the_calculator_says_is_what_a_placement_needs(venue: Venue) -> None:
    """A sale whose margin is just above what is free is rejected with that number; the calculator told it before."""
    short = asked(venue, venue.contract("CE"), "SELL", 20)
    (block,) = calculator(venue).orders([short])
    assert block.premium == 0.0
    price = short.price
    venue.exchange.ledger.opening_cash = block.total - 1.0
    order = venue.place(short.contract, "SELL", short.quantity, price)
    assert order.status == "REJECTED"
    assert f"{block.total:.2f}" in (order.status_message or "")


def test_an_order_beside_a_position_that_hedges_it(venue: Venue) -> None:
    """Selling against a bought further strike needs less than selling alone; selling what is held needs nothing."""
    short, hedge = venue.contract("CE"), venue.contract("CE", 2)
    alone = calculator(venue).orders([asked(venue, short, "SELL")])[0]
    ask = venue.depth(hedge, "BUY")[-1][0] / 100
    assert venue.place(hedge, "BUY", hedge.lot, ask).status == "COMPLETE"
    beside = calculator(venue).orders([asked(venue, short, "SELL")])[0]
    assert beside.span < 0.3 * alone.span
    assert calculator(venue).orders([asked(venue, hedge, "SELL")])[0].total == 0.0


def test_an_iron_condor(venue: Venue) -> None:
    """Both wings together need about one side; initial counts the legs one by one and is never less, part by part."""
    legs = [
        asked(venue, venue.contract("CE", 4), "SELL"),
        asked(venue, venue.contract("CE", 8), "BUY"),
        asked(venue, venue.contract("PE", -4), "SELL"),
        asked(venue, venue.contract("PE", -8), "BUY"),
    ]
    initial, final, each = calculator(venue).basket(legs, consider_positions=True)
    one_side = calculator(venue).basket(legs[:2], consider_positions=True)[1]
    assert final.span < 1.5 * one_side.span
    assert initial.span == pytest.approx(sum(row.span for row in each))
    for part in ("span", "exposure", "premium", "total"):
        assert getattr(initial, part) >= getattr(final, part)
    assert final.premium == pytest.approx(sum(row.premium for row in legs))
    assert initial.premium == pytest.approx(sum(row.premium for row in legs if row.side == "BUY"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tradingsymbol": "NOTHING"}, "tradingsymbol"),
        ({"exchange": "NSE", "tradingsymbol": "NIFTY 50"}, "tradingsymbol"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
        ({"variety": "odd"}, "variety"),
        ({"product": "CNC"}, "product"),
        ({"order_type": "STOP"}, "order_type"),
        ({"quantity": 1}, "lot size"),
        ({"price": -1.0}, "price"),
        ({"price": 1e300}, "price"),
    ],
)
def test_ill_formed_orders(venue: Venue, change: dict[str, object], words: str) -> None:
    """Each wrong field is named."""
    row = MarginOrder("NFO", venue.contract().symbol, "BUY", "regular", "NRML", "LIMIT", 65, 100.0)
    fields = {name: getattr(row, name) for name in row.__struct_fields__} | change
    with pytest.raises(KiteError, match=words):
        read_asked(MarginOrder(**fields), venue.exchange.floor)


def test_a_market_order_is_reckoned_at_the_last_price(venue: Venue) -> None:
    """Without a price the last one counts, also for a limit order that names none."""
    contract = venue.contract()
    last = int(venue.exchange.floor.quotes.last[venue.row(contract)]) / 100
    for kind in ("MARKET", "LIMIT"):
        row = MarginOrder("NFO", contract.symbol, "BUY", "regular", "MIS", kind, 65)
        assert read_asked(row, venue.exchange.floor).price == last


def test_expiry_day_of_the_market(venue: Venue) -> None:
    """On the expiry date itself the venue's own legs carry the surcharge."""
    contract = venue.contract("PE")
    floor = venue.exchange.floor
    assert contract.expiry is not None
    assert floor.day.session.day < contract.expiry
    ordinary = venue.exchange.funds.legs(floor.day, floor.quotes, [contract.token])[contract.token]
    assert not ordinary.expires_today
    session = replace(floor.day.session, day=contract.expiry)
    assert floor.day.session.day + timedelta(days=7) > contract.expiry
    legs = venue.exchange.funds.legs(replace(floor.day, session=session), floor.quotes, [contract.token])
    assert legs[contract.token].expires_today
