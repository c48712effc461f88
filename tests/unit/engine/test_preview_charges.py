"""What a preview says of charges: of the order, of getting out again, and of an option left to expire."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from engine.charges.rates import ChargeRates, read_charge_rates
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import Exchange, InstrumentKind, QuoteState, Side
from engine.preview_charges import NO_PRICE, charges_and_back, expiry_notes, order_charges

TODAY = date(2026, 11, 24)
SYMBOL = "NIFTY26NOV24000CE"


@pytest.fixture(scope="module")
def rates() -> ChargeRates:
    """The rates shipped."""
    return read_charge_rates()


def order(side: Side = Side.BUY, quantity: int = 65, symbol: str = SYMBOL) -> OrderRequest:
    """An order of the option."""
    return OrderRequest(instrument=InstrumentKey(Exchange.NFO, symbol), side=side, quantity=quantity)


def quoted(bid: str | None, ask: str | None, state: QuoteState = QuoteState.LIVE) -> Quote:
    """A quote of one level on each side."""

    def levels(price: str | None) -> tuple[DepthLevel, ...]:
        return () if price is None else (DepthLevel(price=Decimal(price), quantity=650, orders=3),)

    return Quote(token=1, state=state, bids=levels(bid), asks=levels(ask))


def option(strike: int = 24_000, kind: InstrumentKind = InstrumentKind.CALL, expiry: date = TODAY) -> Instrument:
    """A NIFTY option."""
    return Instrument(
        token=1,
        exchange_token=1,
        tradingsymbol=SYMBOL,
        exchange=Exchange.NFO,
        name="NIFTY",
        kind=kind,
        segment="NFO-OPT",
        expiry=expiry,
        strike=Decimal(strike),
        lot_size=65,
    )


def test_the_way_back_is_at_the_other_side_of_the_book(rates: ChargeRates) -> None:
    """A buy leaves at the bid, a sale at the ask: the whole is the two orders one by one."""
    price = Decimal(100)
    book = quoted("99", "101")
    for side, leaving in ((Side.BUY, Decimal(99)), (Side.SELL, Decimal(101))):
        entry = order_charges(rates, TODAY, order(side), price)
        back = order_charges(rates, TODAY, order(side.opposite), leaving)
        found = charges_and_back(rates, TODAY, order(side), price, quote=book, before=0)
        assert entry.once is not None
        assert back.once is not None
        assert (found.once, found.round_trip, found.notes) == (entry.once, entry.once + back.once, ())
        assert entry.once != back.once


@pytest.mark.parametrize(("held", "opened"), [(130, 195), (-65, 130), (-130, 65)])
def test_only_what_is_opened_has_a_way_back(rates: ChargeRates, held: int, opened: int) -> None:
    """A buy of three lots over a short closes some of it first; adding to a long opens all of it."""
    price, request = Decimal(100), order(quantity=195)
    found = charges_and_back(rates, TODAY, request, price, quote=quoted("99", "101"), before=held)
    back = order_charges(rates, TODAY, order(Side.SELL, opened), Decimal(99)).once
    assert found.once is not None
    assert back is not None
    assert found.round_trip == found.once + back


@pytest.mark.parametrize("held", [-195, -260])
def test_an_order_that_only_leaves_has_no_round_trip(rates: ChargeRates, held: int) -> None:
    """Closing costs its own charges and nothing after; that is no lack, so nothing is said."""
    found = charges_and_back(rates, TODAY, order(quantity=195), Decimal(100), quote=quoted("99", "101"), before=held)
    assert found.once is not None
    assert (found.round_trip, found.notes) == (None, ())


@pytest.mark.parametrize(
    "quote",
    [
        None,
        quoted(None, "101", QuoteState.ONE_SIDED),
        quoted("99", "101", QuoteState.STALE),
        quoted("99", "101", QuoteState.CLOSED),
        quoted("102", "101", QuoteState.CROSSED),
    ],
)
def test_without_a_touch_of_now_the_way_back_is_unknown(rates: ChargeRates, quote: Quote | None) -> None:
    """An old, crossed or missing bid is no price to leave at; the order's own charges stand."""
    found = charges_and_back(rates, TODAY, order(), Decimal(100), quote=quote, before=0)
    assert found.once is not None
    assert found.round_trip is None
    assert found.notes == ("The charges of the round trip are not known: nobody bids for it now.",)


def test_what_cannot_be_known_is_said(rates: ChargeRates) -> None:
    """No price, a day without rates, and a segment without them."""
    assert order_charges(rates, TODAY, order(), None).notes == (NO_PRICE,)
    late = charges_and_back(rates, date(2031, 1, 6), order(), Decimal(100), quote=quoted("99", "101"), before=0)
    assert (late.once, late.round_trip) == (None, None)
    assert "2031-01-06 are not known" in late.notes[0]
    other = order_charges(rates, TODAY, order(symbol="GOLD"), Decimal(100))
    assert "names no option or future" in other.notes[0]


def notes(
    rates: ChargeRates,
    request: OrderRequest | None = None,
    instrument: Instrument | None = None,
    *,
    after: int = 130,
    spot: str | None = "24050",
    most: int | None = 1755,
) -> tuple[str, ...]:
    """The notes of a buy of two lots."""
    return expiry_notes(
        rates,
        TODAY,
        request or order(quantity=130),
        instrument or option(),
        after,
        spot=None if spot is None else Decimal(spot),
        order_quantity_max=most,
    )


def test_the_last_day_tells_what_exercise_pays(rates: ChargeRates) -> None:
    """130 units 100 points in the money: 0.15 % of 13,000 is 19.50, and 20 with 18 % makes 43.10."""
    (words,) = notes(rates)
    assert words == (
        "It expires today: 130 units left to expire 100 points in the money pay 43.10 in charges, on the intrinsic "
        "value; with NIFTY at 24,050 as now, 33.35."
    )
    (put,) = notes(rates, order(quantity=130, symbol="NIFTY26NOV24000PE"), option(kind=InstrumentKind.PUT))
    assert "pay 43.10" in put
    assert put.endswith("with NIFTY at 24,050 as now, 0.")
    (silent,) = notes(rates, spot=None)
    assert silent.endswith("on the intrinsic value.")


def test_only_the_long_that_is_left_counts(rates: ChargeRates) -> None:
    """A buy that mostly covers a short leaves one lot; a position above the freeze quantity settles as two orders."""
    (words,) = notes(rates, after=65)
    assert "65 units" in words
    (many,) = notes(rates, order(quantity=130), after=130, most=65)
    assert "pay 66.70 in charges" in many


def test_other_orders_are_told_nothing(rates: ChargeRates) -> None:
    """A sale, a buy that only covers, and a contract with days to go."""
    assert notes(rates, order(Side.SELL, 130)) == ()
    assert notes(rates, after=0) == ()
    assert notes(rates, instrument=option(expiry=date(2026, 12, 1))) == ()
    assert notes(rates, instrument=msgspec.structs.replace(option(), strike=None)) == ()


def test_a_day_without_rates_is_said(rates: ChargeRates) -> None:
    """Nothing is guessed for a year whose rates are not enacted."""
    day = date(2031, 1, 6)
    (words,) = expiry_notes(rates, day, order(), option(expiry=day), 65, spot=None, order_quantity_max=None)
    assert "is not known" in words
