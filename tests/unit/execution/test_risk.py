"""What adds risk: decided from the net position and from all that may still trade."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import InstrumentKind, Product
from engine.execution.facts import CheckContext, HeldPosition
from engine.execution.risk import adds_risk, reducible_quantity
from tests.kit.fake_broker import option
from tests.unit.execution.desk import buy, sell
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
    """A short that is only an order so far counts."""
    short_order = record(request=sell(instrument=PUT.key))
    assert adds_risk(sell(), situation(held((CALL, 65)), short_order))


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
