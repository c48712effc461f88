"""Protection, price bands and freeze quantities."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from engine.practice.bands import (
    AUTOMATIC,
    QUIET_SECONDS,
    REFERENCE_SECONDS,
    ReferencePrices,
    automatic_band,
    freeze_refusal,
    price_refusal,
    protected_price,
)
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.dated_rules import PriceBand
from engine.practice.session_market import Quotes
from tests.unit.practice.conftest import Venue
from tests.unit.practice.test_matching import quotes


@pytest.mark.parametrize(
    ("kind", "paise", "percent"),
    [
        ("CE", 9_95, 5.0),
        ("CE", 10_05, 3.0),
        ("CE", 100_05, 2.0),
        ("CE", 500_05, 1.0),
        ("FUT", 24_000_00, 0.5),
        ("FUT", 400_00, 1.0),
        ("FUT", 99_00, 2.0),
    ],
)
def test_automatic_protection_depends_on_the_price(venue: Venue, kind: str, paise: int, percent: float) -> None:
    """The broker's own percentages: options 5, 3, 2, 1 %; futures 2, 1, 0.5 %."""
    assert automatic_band(venue.contract(kind), paise) == percent


def test_a_protected_price_is_on_a_tick_and_not_beyond_the_percentage(venue: Venue) -> None:
    """Two per cent of 156.70 is 159.834: a buy goes to 159.80, a sell to 153.60."""
    call = venue.contract()
    assert protected_price(call, "BUY", 156_70, 2.0) == (159_80, 2.0)
    assert protected_price(call, "SELL", 156_70, 2.0) == (153_60, 2.0)
    assert protected_price(call, "SELL", 5, 100.0) == (5, 100.0), "never below one tick"
    assert protected_price(call, "BUY", 9_00, AUTOMATIC) == (9_45, 5.0)


def band(venue: Venue, day: date = date(2026, 11, 19)) -> PriceBand:
    """Return the protection of NIFTY options."""
    found = TradingCalendar.load().rules.price_band(venue.contract(), day, is_index=True)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reference", "price", "allowed"),
    [
        (50_00, 70_00, True),
        (50_00, 70_05, False),
        (50_00, 30_00, True),
        (50_00, 29_95, False),
        (100_00, 140_00, True),
        (100_00, 140_05, False),
        (100_00, 59_95, False),
        (10_00, 5, True),
        (0, 999_00, True),
    ],
)
def test_price_protection_of_options(venue: Venue, reference: int, price: int, allowed: bool) -> None:
    """Up to 50 rupees of premium 20 either way, above it 40 %; without a reference there is no band."""
    refusal = price_refusal(price, (0, 0), reference, band(venue))
    assert (refusal is None) is allowed
    if refusal is not None:
        assert "LPP range" in refusal[0]


def test_rules_are_those_of_the_day(venue: Venue, calendar: TradingCalendar) -> None:
    """Before a rule began there is none; another exchange has its own, or none; freeze quantities change."""
    call, future = venue.contract(), venue.contract("FUT")
    rules = calendar.rules
    assert rules.price_band(call, date(2022, 10, 30), is_index=True) is None
    assert rules.price_band(future, date(2026, 11, 19), is_index=True) is None
    assert rules.price_band(replace(call, exchange="BFO", name="SENSEX"), date(2026, 11, 19), is_index=True) is None
    wide = rules.price_band(replace(call, exchange="BFO", name="FOCIT"), date(2026, 11, 19), is_index=True)
    assert wide is not None
    assert wide.range_of(200_00) == (40_00, 360_00)
    stock = rules.price_band(replace(call, exchange="BFO", name="RELIANCE"), date(2026, 11, 19), is_index=False)
    assert stock is not None
    assert stock.range_of(10_00) == (0, 30_00)
    assert rules.freeze_quantity("BANKNIFTY", date(2026, 5, 4)) == 900
    assert rules.freeze_quantity("BANKNIFTY", date(2026, 7, 1)) == 600
    assert rules.freeze_quantity("BANKNIFTY", date(2025, 10, 15)) is None, "between two known spans"
    assert rules.freeze_quantity("NOTHING", date(2026, 7, 1)) is None


def test_circuits_hold_whatever_the_band(venue: Venue) -> None:
    """A price outside the day's range is refused in the exchange's words; an unknown range refuses nothing."""
    assert price_refusal(90_00, (100_00, 200_00), 150_00, None) is not None
    assert price_refusal(100_00, (100_00, 200_00), 150_00, None) is None
    assert price_refusal(10**9, (0, 0), 150_00, None) is None
    refusal = price_refusal(200_05, (100_00, 200_00), 180_00, band(venue))
    assert refusal is not None
    assert "circuit limits 100.00 to 200.00" in refusal[0]


def test_an_unknown_freeze_quantity_freezes_nothing(venue: Venue) -> None:
    """The freeze quantity is allowed, one unit above it is not; where none is known, anything is."""
    call = venue.contract()
    assert freeze_refusal(call, 1800, 1800) is None
    assert freeze_refusal(call, 1801, 1800) is not None
    assert freeze_refusal(call, 10**9, None) is None


def after(moment: float, last: int, volume: int) -> Quotes:
    """Quotes of one contract whose theoretical price is 70.00."""
    return replace(quotes(moment, last=last, volume=volume), fair=np.array([70_00]))


def test_the_reference_is_the_average_of_the_last_window_of_trades() -> None:
    """Theoretical at the open; then the volume-weighted average, refreshed with each window; after a quiet quarter of
    an hour theoretical again.
    """
    references = ReferencePrices()
    start = after(0.0, 80_00, 0)
    first = after(10.0, 80_00, 100)
    references.update(start, first)
    assert references.of(first, 0) == 70_00, "the window is not over"
    second = after(11.0 + REFERENCE_SECONDS, 110_00, 200)
    references.update(first, second)
    assert references.of(second, 0) == 95_00
    quiet = after(50.0 + 2 * REFERENCE_SECONDS, 110_00, 200)
    references.update(second, quiet)
    assert references.of(quiet, 0) == 95_00, "no trade: the last average stays"
    silent = after(60.0 + QUIET_SECONDS, 110_00, 200)
    references.update(quiet, silent)
    assert references.of(silent, 0) == 70_00
    references.forget()
    assert references.of(first, 0) == 70_00


def test_an_order_is_judged_by_the_reference_and_not_by_the_theoretical_price(venue: Venue) -> None:
    """After trades at a price, the band stands around that price."""
    call = venue.contract()
    fair = int(venue.exchange.floor.quotes.fair[venue.row(call)])
    inside = venue.place(call, "BUY", 65, round(fair * 1.39 / 500) * 5)
    assert inside.status != "REJECTED"
    for _ in range(70):
        venue.advance(1.0)
    references = venue.exchange.references
    now = venue.exchange.floor.quotes
    assert references.of(now, venue.row(call)) != int(now.fair[venue.row(call)])
    ceiling = references.of(now, venue.row(call)) * 1.4
    beyond = venue.place(call, "BUY", 65, (int(ceiling) // 5 + 1) * 5 / 100)
    assert beyond.status == "REJECTED"
    assert "LPP range" in (beyond.status_message or "")
