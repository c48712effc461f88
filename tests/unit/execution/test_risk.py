"""What adds risk: decided from the net position and from all that may still trade."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.funds_margin import MarginSeen
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import InstrumentKind, Product
from engine.execution.facts import CheckContext, HeldPosition
from engine.execution.risk import adds_risk, basket_adds_risk, reducible_quantity
from tests.kit.fake_broker import option
from tests.unit.execution.desk import buy, live_quote, sell
from tests.unit.execution.rows import record
from tests.unit.execution.test_checks import FUTURE, context

CALL, HIGHER_CALL, PUT = option(), option(24_100), option(24_000, InstrumentKind.PUT)
ROWS = {row.key: row for row in (CALL, HIGHER_CALL, PUT, FUTURE)}


def held(*positions: tuple[Any, int], product: Product = Product.NRML) -> tuple[HeldPosition, ...]:
    """Positions."""
    return tuple(
        HeldPosition(instrument=instrument, product=product, signed_quantity=quantity)
        for instrument, quantity in positions
    )


def situation(positions: tuple[HeldPosition, ...] | None, *working: OrderRecord) -> CheckContext:
    """An account with these positions and working orders."""
    return context(positions=positions, working=working, working_instruments=ROWS)


@pytest.mark.parametrize(
    ("request_", "quantity", "adds"),
    [
        (buy(65), 0, True),
        (buy(65), 65, True),
        (sell(65), 65, False),
        (sell(130), 65, True),
        (sell(65), 130, False),
        (sell(65), -65, True),
        (buy(65), -65, False),
        (buy(130), -130, False),
        (buy(195), -130, True),
    ],
)
def test_only_what_shrinks_the_net_reduces(request_: OrderRequest, quantity: int, adds: bool) -> None:
    """Against the net and not beyond it."""
    positions = held((CALL, quantity)) if quantity else ()
    assert adds_risk(request_, situation(positions)) is adds


def test_unknown_positions_are_the_worst() -> None:
    """While positions are not known nothing reduces."""
    assert adds_risk(sell(), situation(None))


@pytest.mark.parametrize(
    "state", [OrderState.OPEN, OrderState.UNKNOWN, OrderState.QUEUED, OrderState.SENDING, OrderState.CANCELLING]
)
def test_working_exits_use_up_the_position(state: OrderState) -> None:
    """A second exit of the same lot would open a short if both traded; unknown orders count as filled."""
    positions = held((CALL, 65))
    assert adds_risk(sell(), situation(positions, record(request=sell(), state=state)))
    assert not adds_risk(sell(), situation(positions, record(request=buy(), state=state)))


def test_a_partly_filled_exit_uses_up_its_rest_only() -> None:
    """130 long, an exit of 130 with 65 filled leaves the position 65 and the exit 65: nothing more reduces."""
    working = record(request=sell(130), filled_quantity=65)
    assert reducible_quantity(sell(), situation(held((CALL, 130)), working)) == 65
    assert reducible_quantity(sell(), situation(held((CALL, 65)), working)) == 0


def test_products_are_positions_of_their_own() -> None:
    """Selling MIS against an NRML long makes two positions; an opposite product spoils the net too."""
    assert adds_risk(sell(product=Product.MIS), situation(held((CALL, 65))))
    both = held((CALL, 65)) + held((CALL, -65), product=Product.MIS)
    assert adds_risk(sell(), situation(both))


def test_selling_a_hedge_adds_risk() -> None:
    """A long wing may cover a short; buying the short back never adds."""
    spread = held((CALL, -65), (HIGHER_CALL, 65))
    wing = sell(instrument=HIGHER_CALL.key)
    subject = msgspec.structs.replace(situation(spread), instrument=HIGHER_CALL)
    assert adds_risk(wing, subject)
    assert not adds_risk(buy(), situation(spread))


def test_a_working_short_may_need_the_hedge_too() -> None:
    """A short that is only an order so far counts, where the hedge bounds it."""
    hedge = sell(instrument=HIGHER_CALL.key)
    short_call = record(request=sell())
    subject = msgspec.structs.replace(situation(held((HIGHER_CALL, 65)), short_call), instrument=HIGHER_CALL)
    assert adds_risk(hedge, subject)
    # Where a put loses most, at zero, a call is worth nothing: it covers no put.
    short_put = record(request=sell(instrument=PUT.key))
    assert not adds_risk(sell(), situation(held((CALL, 65)), short_put))


def test_long_options_need_no_cover() -> None:
    """Two longs: either may be sold."""
    assert not adds_risk(sell(), situation(held((CALL, 65), (PUT, 65))))


def test_futures_are_taken_for_covered() -> None:
    """A long call may cover a short future; a future may cover a short call."""
    assert adds_risk(sell(), situation(held((CALL, 65), (msgspec.structs.replace(FUTURE, tradingsymbol="F"), -65))))


def test_a_working_order_of_an_unknown_contract_counts_as_the_worst() -> None:
    """What the dump does not know might be anything."""
    strange = record(request=buy(instrument=option(9).key))
    assert adds_risk(sell(), situation(held((CALL, 65)), strange))


def test_another_underlying_does_not_matter() -> None:
    """A short in BANKNIFTY is not covered by a NIFTY call."""
    other = msgspec.structs.replace(option(50_000), name="BANKNIFTY")
    assert not adds_risk(sell(), situation(held((CALL, 65), (other, -30))))


def test_a_wing_that_bounds_a_naked_short_is_a_cover() -> None:
    """Buying a higher call against a naked short takes the loss from unlimited to bounded; more than that opens."""
    cover = buy(instrument=HIGHER_CALL.key, price="50")
    naked = msgspec.structs.replace(situation(held((CALL, -65))), instrument=HIGHER_CALL)
    assert not adds_risk(cover, naked)
    assert adds_risk(msgspec.structs.replace(cover, quantity=130), naked)
    assert adds_risk(msgspec.structs.replace(cover, price=None), naked), "its cost is not known"
    assert adds_risk(msgspec.structs.replace(cover, product=Product.MIS), naked), "it is gone at the close"
    covered = msgspec.structs.replace(naked, positions=held((CALL, -65), (HIGHER_CALL, 65)))
    assert adds_risk(cover, covered)


def test_a_cover_that_costs_more_than_it_bounds_adds() -> None:
    """A put a hundred points below a short one bounds the loss by 23,900 a unit; for more than that it is none."""
    lower = option(23_900, InstrumentKind.PUT)
    short_put = msgspec.structs.replace(situation(held((PUT, -65))), instrument=lower)
    assert not adds_risk(buy(instrument=lower.key, price="40"), short_put)
    assert adds_risk(buy(instrument=lower.key, price="23901"), short_put)


def test_a_cover_of_another_expiry_is_not_reckoned_with() -> None:
    """A far call does not bound a near short with certainty, and the near short may still need the far call."""
    far = option(24_100, expiry=date(2026, 12, 29))
    far = msgspec.structs.replace(far, tradingsymbol="NIFTY26DEC24100CE")
    near_short = msgspec.structs.replace(situation(held((CALL, -65))), instrument=far)
    assert adds_risk(buy(instrument=far.key, price="50"), near_short)
    calendar = msgspec.structs.replace(near_short, positions=held((CALL, -65), (far, 65)))
    assert adds_risk(sell(instrument=far.key), calendar)
    assert not adds_risk(buy(), msgspec.structs.replace(calendar, instrument=CALL))


def test_a_pair_is_closed_as_a_basket_without_arming() -> None:
    """The short is bought back first and its hedge sold then; the other way round the short would be naked."""
    pair = held((CALL, -65), (HIGHER_CALL, 65))
    back, hedge = buy(), sell(instrument=HIGHER_CALL.key)
    contexts = [situation(pair), msgspec.structs.replace(situation(pair), instrument=HIGHER_CALL)]
    assert not basket_adds_risk((back, hedge), contexts)
    assert basket_adds_risk((hedge, back), contexts[::-1])
    assert basket_adds_risk((back, hedge), [situation(None), contexts[1]])


def test_an_extra_hedge_may_go() -> None:
    """Two wings over one short: one of them bounds it, the other may be sold."""
    subject = msgspec.structs.replace(situation(held((CALL, -65), (HIGHER_CALL, 130))), instrument=HIGHER_CALL)
    wing = sell(instrument=HIGHER_CALL.key)
    assert not adds_risk(wing, subject)
    assert adds_risk(msgspec.structs.replace(wing, quantity=130), subject)


def test_the_broker_may_say_that_the_margin_grows() -> None:
    """What leaves the worst loss as it is still adds when the broker asks for more; buying back never asks."""
    raised = MarginSeen(needed=Decimal(1), raises=True, age_s=0.1)
    longs = msgspec.structs.replace(situation(held((CALL, 65))), margin=raised)
    assert adds_risk(sell(), longs)
    shorts = msgspec.structs.replace(situation(held((CALL, -65))), margin=raised)
    assert not adds_risk(buy(), shorts)


def test_a_short_future_is_bought_back_and_a_hedged_one_not_left_alone() -> None:
    """Alone, either side of a future may be closed; a future that covers a short call stays."""
    future = msgspec.structs.replace(FUTURE, tradingsymbol="NIFTY26DECFUT")
    live = live_quote(future.token)
    for held_units, order in ((-65, buy(instrument=future.key)), (65, sell(instrument=future.key))):
        alone = msgspec.structs.replace(situation(held((future, held_units))), instrument=future, quote=live)
        assert not adds_risk(order, alone)
    covering = msgspec.structs.replace(situation(held((future, 65), (CALL, -65))), instrument=future, quote=live)
    assert adds_risk(sell(instrument=future.key), covering)
    assert not adds_risk(buy(), msgspec.structs.replace(covering, instrument=CALL))
